import { cutText } from "./text.ts";

/** The user's address and agent, for risk, limits and notices. Never an identity. */
export interface ClientOrigin {
  /** In canonical form (`core/ip-address.ts`). Empty when a backend did not say. */
  readonly ip: string;
  /**
   * False when `ip` is only that of the next hop, since its forwarding header could not be read. Judge such a call
   * strictly.
   */
  readonly trusted: boolean;
  /** The User-Agent header, without control characters; empty when there is none. */
  readonly userAgent: string;
  /** The application that the user logs in to, as the backend states; empty without one. */
  readonly application: string;
}

/** Removes control characters from a foreign text. */
export const printable = (text: string): string => cutText(text.replaceAll(/\p{C}/gu, ""), 512);

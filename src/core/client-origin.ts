/** Where the person behind a call is, for risk, limits and notices. Never identity. */
export interface ClientOrigin {
  /** In canonical form (`core/ip-address.ts`). Empty when a backend did not say. */
  readonly ip: string;
  /** False when `ip` is only that of the next hop: what it passed on could not be read. Judge such a call strictly. */
  readonly trusted: boolean;
  /** The User-Agent header, without control characters; empty when there is none. */
  readonly userAgent: string;
  /** The application that a backend's user logs in to; empty when nobody said. */
  readonly application: string;
}

/** A text from somewhere else, without what would disturb those who read it later. */
export const printable = (text: string): string => text.replaceAll(/\p{C}/gu, "").slice(0, 512);

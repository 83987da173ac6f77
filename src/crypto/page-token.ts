import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { type Position, START } from "../db/page.ts";
import type { Keyring } from "./keyring.ts";

/** Page tokens: a position, signed for one caller, one RPC and one filter. A token carries no authority. */
export interface PageTokens {
  /**
   * Returns the position of a token; the start for an empty one. Throws INVALID_PAGE_TOKEN for a token not issued for
   * this list.
   */
  read(call: Call, token: string, filter?: string): Position;
  /** Returns the token of the next page; empty when there is none. */
  write(call: Call, next: Position | undefined, filter?: string): string;
}

/** In a list by user the id is a user's: any text. */
const POSITION = /^(\d{1,15})\.(.+)$/s;

/** Makes page tokens, signed by the keyring. */
export function createPageTokens(keyring: Keyring): PageTokens {
  const scope = ({ caller, rpc }: Call, filter: string, position: string) =>
    ["page-token/v1", caller.tenantId, String(caller.principal), caller.subject, rpc, filter, position] as const;

  return {
    read(call, token, filter = "") {
      if (token === "") return START;
      const text = Buffer.from(token, "base64url").toString("utf8");
      const end = text.lastIndexOf("\n");
      const [position, mac] = [text.slice(0, Math.max(0, end)), text.slice(end + 1)];
      const [, time, id] = POSITION.exec(position) ?? [];
      const ours = keyring.verifies(Buffer.from(mac, "base64url"), ...scope(call, filter, position));
      if (!ours || time === undefined || id === undefined) throw new Refusal("INVALID_PAGE_TOKEN");
      return { time: new Date(Number(time)), id };
    },
    write(call, next, filter = "") {
      if (!next) return "";
      const position = `${next.time.getTime()}.${next.id}`;
      const mac = keyring.mac(...scope(call, filter, position)).toString("base64url");
      return Buffer.from(`${position}\n${mac}`, "utf8").toString("base64url");
    },
  };
}

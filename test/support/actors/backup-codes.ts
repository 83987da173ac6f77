import type { ServiceUnderTest } from "../worlds/service.ts";
import { enrollApp } from "./authenticator-app.ts";

/** Enrolls an app and generates a set of codes with it. */
export async function enrollCodes(service: ServiceUnderTest, user: string) {
  const app = await enrollApp(service, user);
  const token = await service.user(user, "aal2");
  const { codes, setId } = await service.mfa.generateBackupCodes({}, token);
  return { app, token, codes, setId };
}

/** A well-formed code that is none of anybody's: that of `code`, with another secret. */
export const wrongSecret = (code: string): string => code.slice(0, -1) + (code.endsWith("0") ? "1" : "0");

/** A code whose selector is none of the set's. */
export function unknownSelector(codes: readonly string[]): string {
  const known = codes.map((code) => code.slice(0, 3));
  const free = ["000", "111", "222", "333", "444", "555", "666", "777", "888", "999", "AAA"];
  return `${free.find((selector) => !known.includes(selector))}-0000-0000-0000-0000`;
}

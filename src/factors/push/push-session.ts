import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { isSameDigest, sessionDigest } from "../../core/session-digest.ts";
import type { PushDeviceRow } from "./push-devices.repository.ts";

/**
 * What stands for a user's session: what its issuer calls it, else the moment of the log-in, which outlasts each token of
 * it. Null where neither is known, and for all who are no users.
 */
export const sessionOf = ({ principal, sessionId, authTime }: Caller): Buffer | null =>
  principal === Principal.USER ? sessionDigest(sessionId || (authTime ? `auth_time ${authTime.getTime()}` : "")) : null;

/**
 * Who asks for others: a backend by its name, a hosted prompt by its id, which no backend's name looks like; empty for
 * users.
 */
export const requesterOf = ({ principal, subject, promptId }: Caller): string => {
  if (promptId !== undefined) return `prompt\n${promptId}`;
  return principal === Principal.SERVICE ? subject : "";
};

/** The session that a challenge names, else that of who asks for it. */
export const askingSession = (asked: string, caller: Caller): Buffer | null =>
  asked === "" ? sessionOf(caller) : Buffer.from(asked, "base64url");

/** Whether the session that asks has paired the device itself: such a device is not asked, shown or heard. */
export const hasPaired = (session: Buffer | null, device: Pick<PushDeviceRow, "sessionDigest"> | undefined): boolean =>
  session !== null && isSameDigest(session, device?.sessionDigest ?? null);

import type { DeliveryOutcome } from "./provider.ts";

/** An invalid number, one that gets no text messages, or one whose holder opted out by STOP. */
const GONE = new Set([21211, 21217, 21610, 21614]);
/**
 * The account is at fault, not the message (twilio.com/docs/api/errors): it is closed, suspended, on trial or unknown
 * (20003 to 20006, 20404, 21608, 30002); its sender is not its own, not of this country or not registered (21212, 21603,
 * 21606, 21659, 21660, 30034); its messaging service is unknown or has no sender (21701, 21703); it may not send to the
 * region (21408).
 */
const DENIED = new Set([
  ...[20003, 20004, 20005, 20006, 20404, 21212, 21408, 21603, 21606, 21608, 21659, 21660, 21701, 21703],
  ...[30002, 30034],
]);
/** The account's queue or daily limit is full. */
const AT_PRESENT = new Set([14107, 20429, 21611, 30001, 63038]);

/** Translates Twilio's error code, where it says more than the HTTP status. */
export const outcomeOfCode = (code: number): Exclude<DeliveryOutcome["outcome"], "delivered"> | undefined => {
  if (GONE.has(code)) return "gone";
  if (DENIED.has(code)) return "denied";
  return AT_PRESENT.has(code) ? "retry" : undefined;
};

/** Whether the error of an accepted message means that the account is at fault. */
export const isAccountsFault = (code: number): boolean => DENIED.has(code);

import { createHash } from "node:crypto";
import { frame } from "../../crypto/framing.ts";

/** What a phone signs to show that it holds the key that it brings. */
export const pairingParts = (pairingToken: string, publicKey: Uint8Array): Buffer =>
  frame("mfa-push-pair-v1", pairingToken, createHash("sha256").update(publicKey).digest());

/** What an answer is about. */
export interface Answered {
  readonly pushId: string;
  readonly nonce: Uint8Array;
  /** SHA-256 of the action; null for a log-in. */
  readonly actionDigest: Uint8Array | null;
}

const answerParts = ({ pushId, nonce, actionDigest }: Answered, number: string, ...decision: string[]) =>
  frame("mfa-push-v1", pushId, nonce, number, actionDigest ?? "", ...decision);

/** What a phone signs to approve. */
export const approvalParts = (answered: Answered, number: string): Buffer => answerParts(answered, number, "approve");

/** What a phone signs to deny. */
export const denialParts = (answered: Answered, reason: string): Buffer => answerParts(answered, "", "deny", reason);

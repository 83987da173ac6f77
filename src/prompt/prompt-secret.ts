import { createHash, timingSafeEqual } from "node:crypto";
import type { Keyring } from "../crypto/keyring.ts";
import { bearerId } from "../crypto/random.ts";

/** What a secret of a prompt is good for: to open it once, to go on in one browser, to redeem it once. */
type Use = "handle" | "cookie" | "code";

/** A secret of a prompt as its holder sends it: the prompt's id, and 128 random bits. */
export interface PromptSecret {
  readonly promptId: string;
  readonly secret: string;
}

const SENT = /^([\w-]{22})\.([\w-]{22})$/;
const PURPOSE = "prompt/v1";

/** Reads a secret; undefined for anything else. */
export function readPromptSecret(text: string): PromptSecret | undefined {
  const [, promptId, secret] = SENT.exec(text) ?? [];
  return promptId === undefined || secret === undefined ? undefined : { promptId, secret };
}

/** Writes a secret as its holder sends it. */
export const writePromptSecret = ({ promptId, secret }: PromptSecret): string => `${promptId}.${secret}`;

/** Makes and compares the secrets of prompts, of which only digests under the operator's keys are stored. */
export const promptSecrets = (keyring: Pick<Keyring, "digest" | "digests">) => ({
  make(promptId: string, use: Use) {
    const secret = bearerId();
    return { sent: writePromptSecret({ promptId, secret }), digest: keyring.digest(PURPOSE, use, promptId, secret) };
  },
  isSame({ promptId, secret }: PromptSecret, use: Use, digest: Buffer | null): boolean {
    return (
      digest !== null &&
      keyring
        .digests(PURPOSE, use, promptId, secret)
        .some((made) => made.length === digest.length && timingSafeEqual(made, digest))
    );
  },
});

/** Whether a verifier is the one behind a code challenge (RFC 7636 §4.6, S256). */
export function isVerifierOf(codeChallenge: string, verifier: string): boolean {
  const made = createHash("sha256").update(verifier, "ascii").digest("base64url");
  return made.length === codeChallenge.length && timingSafeEqual(Buffer.from(made), Buffer.from(codeChallenge));
}

import type { KdfPlace, KdfPool } from "./kdf-pool.ts";
import type { Keyring } from "./keyring.ts";
import { randomSecret } from "./random.ts";
import { drawRecoveryCode, type RecoveryCode } from "./recovery-code.ts";

/** What is stored in place of a code. */
export interface HashedCode {
  readonly salt: Buffer;
  /** HMAC of the stretched code and of where it belongs; the id of the pepper that made it leads. */
  readonly verifier: Buffer;
}

/** Where a code belongs; nothing stored elsewhere matches it. */
export type Belonging = { readonly tenantId: string; readonly userId: string; readonly setId: string };

/** Hashes and checks of recovery codes of one kind. */
export interface RecoveryCodeHash {
  /** Takes a place for `size` of the others' calls; throws RATE_LIMITED. To be left when they are done. */
  enter(size?: number): KdfPlace;
  hash(code: RecoveryCode, belonging: Belonging): Promise<HashedCode>;
  /** Whether a code is the stored one. One derivation whatever is given: without a code or a row it is for nothing. */
  matches(code: RecoveryCode | undefined, stored: HashedCode | undefined, belonging: Belonging): Promise<boolean>;
}

const SALT_BYTES = 16;

/** `purpose` keeps one kind of code apart from the others: "backup-code/v1". */
export function createRecoveryCodeHash(keyring: Keyring, kdf: KdfPool, purpose: string): RecoveryCodeHash {
  const nobodys = {
    code: drawRecoveryCode(),
    salt: randomSecret(SALT_BYTES),
    verifier: keyring.digest(purpose, randomSecret(32)),
  };
  const parts = (stretched: Buffer, { tenantId, userId, setId }: Belonging) => [stretched, tenantId, userId, setId];

  return {
    enter: kdf.enter,
    async hash({ canonical }, belonging) {
      const salt = randomSecret(SALT_BYTES);
      const stretched = await kdf.derive(canonical, salt);
      const verifier = keyring.digest(purpose, ...parts(stretched, belonging));
      stretched.fill(0);
      return { salt, verifier };
    },
    async matches(code, stored, belonging) {
      const { canonical } = code ?? nobodys.code;
      const { salt, verifier } = stored ?? nobodys;
      const stretched = await kdf.derive(canonical, salt);
      const right = keyring.matches(verifier, purpose, ...parts(stretched, belonging));
      stretched.fill(0);
      return right && code !== undefined && stored !== undefined;
    },
  };
}

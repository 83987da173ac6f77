import type { KdfPlace, KdfPool } from "./kdf-pool.ts";
import type { Keyring } from "./keyring.ts";
import { randomSecret } from "./random.ts";
import { drawRecoveryCode, type RecoveryCode } from "./recovery-code.ts";

/** The stored form of a code. */
export interface HashedCode {
  readonly salt: Buffer;
  /** HMAC of the stretched code and its context, prefixed with the pepper's id. */
  readonly verifier: Buffer;
}

/** The context of a code; a hash of another context does not match it. */
export type Belonging = { readonly tenantId: string; readonly userId: string; readonly setId: string };

/** Hashes and checks of recovery codes of one kind. */
export interface RecoveryCodeHash {
  /** Reserves a slot for `size` calls of the other methods; throws RATE_LIMITED. To be released afterwards. */
  enter(size?: number): KdfPlace;
  hash(code: RecoveryCode, belonging: Belonging): Promise<HashedCode>;
  /**
   * Whether a code matches the stored one. Costs one derivation in every case, also without a code or a row, so that
   * timing tells nothing.
   */
  matches(code: RecoveryCode | undefined, stored: HashedCode | undefined, belonging: Belonging): Promise<boolean>;
}

const SALT_BYTES = 16;

/** `purpose` separates kinds of codes: "backup-code/v1". */
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

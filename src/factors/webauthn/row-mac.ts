import { SealBroken } from "../../crypto/aead.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { CredentialRow } from "./webauthn.repository.ts";

/** What decides whose key it is and what it is worth; what changes with use is not among it. */
type Bound = Pick<CredentialRow, "tenantId" | "userId" | "credentialId" | "webauthnId" | "rpId" | "publicKey"> &
  Pick<CredentialRow, "algorithm" | "userVerified" | "backupEligible" | "backupKnown" | "attested">;

/** As older rows have it, which know no third value. */
const eligibilityOf = ({ backupKnown, backupEligible }: Bound) => (backupKnown === false ? "unknown" : backupEligible);

const partsOf = (row: Bound) =>
  [
    "webauthn-credential/v1",
    row.tenantId,
    row.userId,
    row.credentialId,
    row.webauthnId,
    row.rpId,
    row.publicKey,
    [row.algorithm, row.userVerified, eligibilityOf(row), row.attested].join(),
  ] as const;

/** Binds a public key to its user. */
export const macOf = (keyring: Keyring, row: Bound): Buffer => keyring.mac(...partsOf(row));

/** Throws SealBroken for a row that we did not write so: who can only write to the database gets no log-in from it. */
export function requireIntact(keyring: Keyring, row: Bound & { readonly rowMac: Buffer }): void {
  if (!keyring.verifies(row.rowMac, ...partsOf(row))) throw new SealBroken();
}

import { resulting } from "../../protection/proof.ts";
import type { Prover } from "../factor.ts";
import type { createBackupCodes } from "./backup-codes.ts";

type Codes = Pick<ReturnType<typeof createBackupCodes>, "proofOf" | "lownessOf">;

/** How a backup code answers a challenge. */
export const backupCodeProver = ({ proofOf, lownessOf }: Codes): Prover<"backupCode"> => ({
  answers: "backupCode",
  type: "BACKUP_CODE",
  counter: "typed-code",
  signsAction: false,
  proofOf: async (call, owner, code, { hideUnenrolled }) => {
    const due = await lownessOf(owner.tenantId);
    const proof = proofOf(call, owner, { code, due, hideUnenrolled });
    return resulting(proof, ({ set }) => ({ factorId: set.setId }));
  },
});

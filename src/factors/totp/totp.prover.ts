import { resulting } from "../../protection/proof.ts";
import type { Prover } from "../factor.ts";
import type { createTotp } from "./totp.ts";

/** How a code of an authenticator app answers a challenge. */
export const totpProver = ({ proofOf }: Pick<ReturnType<typeof createTotp>, "proofOf">): Prover<"totpCode"> => ({
  answers: "totpCode",
  type: "TOTP",
  counter: "typed-code",
  signsAction: false,
  proofOf: async (call, owner, code, { hideUnenrolled }) =>
    resulting(proofOf(call, owner, { code, hideUnenrolled }), ({ deviceId }) => ({ factorId: deviceId })),
});

import type { Prover } from "../factor.ts";
import type { createTemporaryPasses } from "./temporary-pass.ts";

/** How a temporary pass answers a challenge. */
export const temporaryPassProver = ({
  proofOf,
}: Pick<ReturnType<typeof createTemporaryPasses>, "proofOf">): Prover<"temporaryPass"> => ({
  answers: "temporaryPass",
  type: "TEMPORARY_PASS",
  counter: "typed-code",
  signsAction: false,
  proofOf: async (call, owner, code, { hideUnenrolled }) => proofOf(call, owner, { code, hideUnenrolled }),
});

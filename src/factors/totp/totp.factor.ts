import { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { Factor } from "../factor.ts";
import { totpRepository } from "./totp.repository.ts";

/** TOTP as the registry of factors sees it. */
export const totpFactor: Factor = {
  type: FactorType.TOTP,
  isEnrolled: async (tx, owner) => (await totpRepository(tx).listActive(owner)).length > 0,
};

import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";

/** A kind of second factor, as everything that loops over factors sees it. */
export interface Factor {
  readonly type: FactorType;
  /** Whether the user holds an instance that counts as a second factor: proven and enabled. */
  isEnrolled(tx: Tx, owner: Owner): Promise<boolean>;
}

import type { FactorState, FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";
import type { Settings } from "../tenants/settings.ts";

/** One enrolled instance of a factor, as lists and status show it. Holds no secret and no whole address. */
export interface FactorInstance {
  /** The device_id or credential_id of its kind. */
  readonly factorId: string;
  readonly state: Exclude<keyof typeof FactorState, "UNSPECIFIED">;
  readonly displayName: string;
  /** Where codes go, masked; empty for kinds without a target. */
  readonly maskedTarget: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly lastUseTime: Date | null;
  /** How often it can still prove something, for kinds that are used up: backup codes. */
  readonly remainingUses?: number;
  /** What is to be done about it: to confirm codes, to review a counter that went back. */
  readonly recommendation?: keyof typeof Recommendation;
  /** Whether its key cannot leave the authenticator. */
  readonly deviceBound?: boolean;
}

/** A kind of second factor, as everything that loops over factors sees it. */
export interface Factor {
  readonly type: Exclude<keyof typeof FactorType, "UNSPECIFIED">;
  /**
   * Whether it raises the level to aal2 and is one that a user must not lose unawares. E-mail, backup codes and
   * temporary passes do not count.
   */
  readonly counts: boolean;
  /** Whether users must be told that it is a restricted authenticator (NIST SP 800-63B-4 §3.2.9). */
  readonly restricted: boolean;
  /** Whether the tenant lets its users enrol it; passes, which only administrators give, never. */
  isEnrollable(settings: Settings): boolean;
  /** Whether the user holds an instance that is proven and enabled. */
  isEnrolled(tx: Tx, owner: Owner): Promise<boolean>;
  /** Every instance that is there at `now`, pending and disabled ones too, oldest first. A handful for each user. */
  list(tx: Tx, owner: Owner, now: Date): Promise<FactorInstance[]>;
  /** Deletes whatever is kept of the kind, pending enrolments too; says of how many instances (of codes, codes). */
  forget(tx: Tx, owner: Owner, now: Date): Promise<number>;
}

/** The user's factors as a whole, as far as a single kind may know of them. */
export interface FactorSet {
  /**
   * To be run after a change that took a counting instance away, in its unit: throws LAST_FACTOR, and so undoes the
   * change, when none that counts is left and the user did not say that they know. The unit has serialised the user.
   */
  guardLast(tx: Tx, owner: Owner, confirmed: boolean): Promise<void>;
  /** The id of the user's first choice; undefined when nothing is active. */
  primaryOf(tx: Tx, owner: Owner, now: Date): Promise<string | undefined>;
}

/** Backup codes as they are shown, once. */
export interface ShownCodes {
  readonly setId: string;
  readonly codes: readonly string[];
}

/** Backup codes that are made together with another factor. */
export interface CodesForEnrolment {
  /**
   * Draws a set, outside of units as it takes long. What it answers puts the set in force in the unit that enrols, which
   * has serialised the user; undefined for a user who has codes already.
   */
  draw(owner: Owner, now: Date): Promise<(tx: Tx, call: Call) => Promise<ShownCodes | undefined>>;
}

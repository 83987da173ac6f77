import type { ChallengePreparation, ChallengeState, Proof as ProofMessage } from "../../gen/mfa/v1/challenge_pb.js";
import type { FactorState, FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import type { ImportedFactor } from "../../gen/mfa/v1/import_pb.js";
import type { OtpDelivery } from "../../gen/mfa/v1/otp_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Refusal } from "../core/refusal.ts";
import type { Span } from "../db/span.ts";
import type { Tx } from "../db/store.ts";
import type { Counter } from "../protection/attempts.table.ts";
import type { Proof } from "../protection/proof.ts";
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
  /** Whether it verifies its user, who then needs no other factor where the tenant says so. */
  readonly verifiesUser?: boolean;
}

/** One active instance, by whom it is held. */
export interface Holding {
  readonly userId: string;
  /** For kinds that are used up. */
  readonly remainingUses?: number;
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
  /** Every instance of the kind that is proven and enabled, among many users. */
  listHoldings(tx: Tx, span: Span, now: Date): Promise<readonly Holding[]>;
  /** Deletes whatever is kept of the kind, pending enrolments too; says of how many instances (of codes, codes). */
  forget(tx: Tx, owner: Owner, now: Date): Promise<number>;
  /** The same of one instance, in whatever state; 0 where the user has none of this id. */
  forgetOne(tx: Tx, owner: Owner, factorId: string, now: Date): Promise<number>;
}

/** The user's factors as a whole, as far as a single kind may know of them. */
export interface FactorSet {
  /**
   * To be run after a change that took a counting instance away, in its unit: throws LAST_FACTOR, and so undoes the
   * change, when none that counts is left and the user did not say that they know, or a rule demands one. The unit has serialised
   * the user.
   */
  guardLast(tx: Tx, owner: Owner, confirmed: boolean, now: Date): Promise<void>;
  /** The id of the user's first choice; undefined when nothing is active. */
  primaryOf(tx: Tx, owner: Owner, now: Date): Promise<string | undefined>;
}

/** A factor as another system has it, as the oneof `ImportedFactor.kind` of the contract has it. */
export type ToImport = Exclude<ImportedFactor["kind"], { case: undefined }>;

/** How a factor is imported in a unit that has serialised its user; why it cannot be, as a sentence without secrets. */
export type Importing = (tx: Tx) => Promise<
  | {
      readonly status: "IMPORTED" | "SKIPPED" | "REPLACED";
      readonly factorId: string;
      /** Whether it is in use at once. */
      readonly active: boolean;
      readonly counts: boolean;
    }
  | string
>;

/** How a factor is to be imported. */
export interface ImportTerms {
  readonly displayName: string;
  /** Whether the user must prove it before it counts. */
  readonly unverified: boolean;
  /** Whether an older one of the kind gives way. */
  readonly replace: boolean;
  /** The secrets that this call has brought so far; kinds that have any add theirs. */
  readonly brought: { readonly userId: string; readonly factorId: string; readonly secret: Uint8Array }[];
}

/** How one kind comes from other systems. */
export interface ImportKind {
  /** The case of `ImportedFactor.kind` that it takes. */
  readonly takes: ToImport["case"];
  readonly type: Factor["type"];
  /** What is to be done outside of units; answers the rest, or why it cannot be. */
  prepare(call: Call, owner: Owner, kind: ToImport, how: ImportTerms): Promise<Importing | string>;
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

/** A user's answer, as the oneof `Proof.kind` of the contract has it. */
export type Answer = Exclude<ProofMessage["kind"], { case: undefined }>;

/** What an answer is asked for. It is good under these terms and no others. */
export interface Asked {
  /** The challenge that is answered; empty for a step-up without one. */
  readonly challengeId: string;
  readonly purpose: "LOG_IN" | "STEP_UP";
  /** Stands for the session: its SHA-256, base64url; empty without one. */
  readonly session: string;
  /** For whom the assertion will be. */
  readonly audience: string;
  /** SHA-256 of what is approved, to be inside of what an authenticator signs; null without an action. */
  readonly actionDigest: Buffer | null;
  /** The action as its user is to read it; empty without one. */
  readonly renderedAction: string;
  /** Whether the authenticator must verify its user. */
  readonly userVerification: boolean;
  /** Whether who has not enrolled the factor is refused like a wrong answer, and takes as long. */
  readonly hideUnenrolled: boolean;
}

/** What an accepted answer was worth. */
export interface Proven {
  readonly factorId: string;
  /** Whether the key cannot leave the authenticator. */
  readonly deviceBound?: boolean;
  /** Whether the authenticator verified its user. */
  readonly userVerified?: boolean;
  /** Whether it stands for both factors, by the tenant's policy. */
  readonly alone?: boolean;
  /** Whether the digest of the action is inside the signature. */
  readonly signedAction?: boolean;
}

/** What the requester needs for a factor that was prepared. */
export interface Prepared {
  readonly factorId: string;
  readonly preparation: ChallengePreparation["kind"];
}

/** How one kind of answer is judged and spent, for challenges and step-up, which add their own transition to the spending. */
export interface Prover<Case extends Answer["case"]> {
  /** The case of `Proof.kind` that it takes. */
  readonly answers: Case;
  readonly type: Factor["type"];
  readonly counter: Counter;
  /** Whether its signature covers the digest of the action. */
  readonly signsAction: boolean;
  /** Whether preparing answers alike for users who have nothing of the kind. */
  readonly hidesAbsence?: boolean;
  /** The proof that an answer is, for `prove`. Its spending serialises the user first, or touches one row only. */
  proofOf(
    call: Call,
    owner: Owner,
    answer: Extract<Answer, { case: Case }>["value"],
    asked: Asked,
  ): Promise<Proof<unknown, unknown, Proven> | Refusal>;
  /**
   * For factors that need something before they can be proved: a code sent, a phone asked, options made. What is to be
   * done outside of units is done at once; the rest in the unit that writes the challenge. An empty `factorId` takes
   * the primary, else the last used. Prepared again, what was prepared before for the challenge is dead.
   */
  prepare?(
    call: Call,
    owner: Owner,
    asked: Asked & { readonly factorId: string },
  ): Promise<((tx: Tx) => Promise<Prepared | Refusal>) | Refusal>;
  /** The code that is on its way for a challenge, if there is one. */
  deliveryOf?(tx: Tx, owner: Owner, challengeId: string): Promise<OtpDelivery | undefined>;
  /** Hears that a challenge which it proved was redeemed, in the unit that does. */
  redeemed?(tx: Tx, owner: Owner, challengeId: string, now: Date): Promise<void>;
  /** Hears that a challenge is being taken back, in the unit that does. */
  cancelled?(tx: Tx, owner: Owner, challengeId: string, now: Date): Promise<void>;
}

/** How any kind of answer is judged and spent. */
export type AnyProver = { [Case in Answer["case"]]: Prover<Case> }[Answer["case"]];

/** What a factor that is answered elsewhere, on a phone, does to the challenge it was prepared for. */
export interface ChallengeOutcomes {
  /**
   * Proves the challenge, in the unit that spent the answer and has serialised the user; throws CHALLENGE_EXPIRED, and
   * so undoes the unit, where it is pending no more.
   */
  prove(
    tx: Tx,
    call: Call,
    owner: Owner,
    outcome: Proven & { challengeId: string; type: Factor["type"] },
  ): Promise<void>;
  /**
   * Ends the challenge as denied, proven ones too, in the unit of the denial, which has serialised the user; one that
   * has ended stays as it is.
   */
  deny(tx: Tx, call: Call, owner: Owner, challengeId: string): Promise<void>;
  /** Ends the challenge where nothing but this kind of factor was on offer for it. */
  fail(tx: Tx, owner: Owner, outcome: { challengeId: string; type: Factor["type"]; now: Date }): Promise<void>;
  /** Where the challenge stands; undefined when there is none. */
  stateOf(
    tx: Tx,
    owner: Owner,
    challengeId: string,
    now: Date,
  ): Promise<Exclude<keyof typeof ChallengeState, "UNSPECIFIED"> | undefined>;
  /**
   * Uses a proven challenge up for another one of an audience, in a unit that has serialised the user; false when it is
   * proven no more, or was for another audience.
   */
  spend(tx: Tx, owner: Owner, spending: { challengeId: string; audience: string; now: Date }): Promise<boolean>;
}

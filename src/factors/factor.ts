import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChallengePreparation, ChallengeState, Proof as ProofMessage } from "../../gen/mfa/v1/challenge_pb.js";
import type { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import type { FactorState, FactorType, MfaStatusSchema, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import type { ImportedFactor } from "../../gen/mfa/v1/import_pb.js";
import type { OtpDelivery } from "../../gen/mfa/v1/otp_pb.js";
import type { WebAuthnSignalsSchema } from "../../gen/mfa/v1/webauthn_signals_pb.js";
import type { Call } from "../core/call.ts";
import type { Refusal } from "../core/refusal.ts";
import type { UserSpan } from "../db/span.ts";
import type { Owner, Tx } from "../db/store.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import type { Counter } from "../protection/attempts.table.ts";
import type { Proof } from "../protection/proof.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";

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
  /**
   * The tenant's setting that no longer admits it, though it is enrolled: undefined while all do. Absent for kinds of
   * which settings admit all instances or none.
   */
  readonly refusedBy?: (settings: EffectiveSettings) => string | undefined;
}

/** One active instance, by whom it is held. */
export interface Holding extends Pick<FactorInstance, "deviceBound" | "refusedBy"> {
  readonly userId: string;
  /** For kinds that are used up. */
  readonly remainingUses?: number;
}

/** A kind of factor, by the contract's name. */
export type FactorTypeName = Exclude<keyof typeof FactorType, "UNSPECIFIED">;

/** What a proof was, as far as the methods of an assertion state it. */
export interface ProvenFacts {
  readonly deviceBound: boolean;
  readonly userVerified: boolean;
  /** Whether the one proof stands for both factors. */
  readonly alone: boolean;
}

/** How the proofs of a kind are stated in the `amr` of an assertion (RFC 8176). */
export interface AuthenticationMethods {
  /** The method that every proof of the kind states, and no other kind does. */
  readonly own: string;
  /** Every method that a proof states, `own` among them. */
  of(facts: ProvenFacts): readonly string[];
}

/** What a user has of one kind, among what they have of all. */
export interface Share {
  /** Whether an instance of the kind is active. */
  readonly has: boolean;
  /** Whether every active factor that counts is of this kind. */
  readonly isOnly: boolean;
  /** How often codes can still be used, for kinds that are used up; 0 for others. */
  readonly remainingUses: number;
}

/** A kind of second factor, as everything that loops over factors sees it. */
export interface Factor<T extends FactorTypeName = FactorTypeName> {
  readonly type: T;
  /** The word for it in the service's own English texts: "authenticator app". */
  readonly word: string;
  /** The name of its instances in the receipt of a reset: "totp_devices". */
  readonly receiptKind: string;
  readonly amr: AuthenticationMethods;
  /** Whether a proof uses it up, so that it is not to be found afterwards. Such proofs raise the level all the same. */
  readonly consumed: boolean;
  /** Whether it stands in for factors that were lost. It ends with the last that counts, and policy may restrict its sessions. */
  readonly recovers: boolean;
  /** Whether its proofs resist phishing. */
  readonly phishingResistant: boolean;
  /** Whether its proofs can show that the key does not leave its device; whether one does, only the proof tells. */
  readonly canBeDeviceBound: boolean;
  /** The channels by which messages of the kind go out; empty where it sends none. */
  readonly channels: readonly Channel[];
  /**
   * Whether it raises the level to aal2 and is one that a user must not lose unawares. E-mail, backup codes and
   * temporary passes do not count.
   */
  readonly counts: boolean;
  /** Whether users must be told that it is a restricted authenticator (NIST SP 800-63B-4 §3.2.9). */
  readonly restricted: boolean;
  /** Whether the tenant has the kind switched on: its proofs are accepted. */
  isOn(settings: EffectiveSettings): boolean;
  /** Whether the tenant lets its users enroll it; passes, which only administrators give, never. */
  isEnrollable(settings: EffectiveSettings): boolean;
  /** How many a user may have, active and disabled ones; absent for kinds of which a new one takes the older one's place. */
  limitOf?(settings: EffectiveSettings): number;
  /** Whether the user holds an instance that is proven and enabled. */
  isEnrolled(tx: Tx, owner: Owner): Promise<boolean>;
  /** Every instance that is there at `now`, pending and disabled ones too, oldest first. A handful for each user. */
  list(tx: Tx, owner: Owner, now: Date): Promise<FactorInstance[]>;
  /** Every instance of the kind that is proven and enabled, among many users. */
  listHoldings(tx: Tx, span: UserSpan, now: Date): Promise<readonly Holding[]>;
  /** Deletes whatever is kept of the kind, pending enrollments too; says of how many instances (of codes, codes). */
  forget(tx: Tx, owner: Owner, now: Date): Promise<number>;
  /** The same of one instance, in whatever state; 0 where the user has none of this id. */
  forgetOne(tx: Tx, owner: Owner, factorId: string, now: Date): Promise<number>;
  /**
   * Ends what was begun and waits for an answer: pending enrollments with their pairing tokens, ceremonies, and codes on
   * their way. Absent for kinds of which nothing waits.
   */
  endPending?(tx: Tx, owner: Owner, now: Date): Promise<void>;
  /** What a user who has an active factor that counts should do about this kind. */
  recommend?(
    share: Pick<Share, "has" | "isOnly"> & { readonly enrollable: boolean },
    settings: Pick<EffectiveSettings, "backupCodes">,
  ): keyof typeof Recommendation | undefined;
  /** What a user who has an active factor that counts lacks of this kind. */
  gapOf?(share: Share, settings: EffectiveSettings): Exclude<keyof typeof CoverageGap, "UNSPECIFIED"> | undefined;
  /** The kind's own fields of the contract's MfaStatus, for users who have an active or a pending instance. */
  statusFields?(kind: {
    readonly activeCount: number;
  }): Pick<MessageInitShape<typeof MfaStatusSchema>, "backupCodesRemaining" | "temporaryPass">;
  /** Whether settings that may have changed since still accept a proof that was once accepted; absent where they always do. */
  stillAccepts?(
    proof: { readonly saysVerified?: boolean; readonly userVerified?: boolean; readonly numberLength?: number },
    settings: EffectiveSettings,
  ): boolean;
  /** What the user's clients are to be told once all instances are forgotten, in a unit before that. */
  signalsOfForgetting?(tx: Tx, owner: Owner): Promise<readonly MessageInitShape<typeof WebAuthnSignalsSchema>[]>;
}

/** The user's factors as a whole, as far as a single kind may know of them. */
export interface FactorSet {
  /**
   * To be run after a change that took a counting instance away, in its unit: throws LAST_FACTOR, and so undoes the
   * change, when none that counts and that the tenant's settings admit is left and the user did not say that they know, or
   * a rule demands one. Backup codes
   * end with the last one, as there is nothing left that they stand in for. The unit has serialised the user.
   */
  guardLast(tx: Tx, call: Call, owner: Owner, confirmed: boolean): Promise<void>;
  /** Whether the user has an active factor that counts. */
  hasFactor(tx: Tx, owner: Owner): Promise<boolean>;
  /** The id of the user's first choice; undefined when nothing is active. */
  primaryOf(tx: Tx, owner: Owner, now: Date): Promise<string | undefined>;
}

/** The lengths of secrets of authenticator apps that are judged, in bytes. Those that we make have 20. */
export const JUDGED_SECRET_BYTES = { min: 10, max: 128 } as const;

/** A factor as another system has it, as the oneof `ImportedFactor.kind` of the contract has it. */
export type ToImport = Exclude<ImportedFactor["kind"], { case: undefined }>;

/** One that is to be imported. */
export interface ToBring {
  readonly owner: Owner;
  readonly kind: ToImport;
  readonly displayName: string;
  /** Whether the user must prove it before it counts. */
  readonly unverified: boolean;
}

/** What became of one; why it cannot be imported, as a sentence without secrets. */
export type Brought =
  | {
      readonly status: "IMPORTED" | "SKIPPED" | "REPLACED";
      readonly factorId: string;
      /** Whether it is in use at once. */
      readonly active: boolean;
      readonly counts: boolean;
    }
  | string;

/** Imports what was prepared but what is of users whom a reset keeps from enrolling; answers for each, in order. */
export type Importing = (tx: Tx, cooling: ReadonlySet<string>) => Promise<readonly Brought[]>;

/** Why nothing comes to a user for a while. */
export const COOLING = "a reset keeps the user from enrolling";

/** How one kind comes from other systems. */
export interface ImportKind<Case extends ToImport["case"] = ToImport["case"]> {
  /** The case of `ImportedFactor.kind` that it takes. */
  readonly takes: Case;
  readonly type: Factor["type"];
  /**
   * What is to be done outside of units for all of a call, whose tenant is one; answers the rest, for a unit that has
   * serialised the users. Both ask and write for all users at once: the database may be far.
   */
  prepare(call: Call, given: readonly ToBring[], how: { readonly replace: boolean }): Promise<Importing>;
}

/** Backup codes as they are shown, once. */
export interface ShownCodes {
  readonly setId: string;
  readonly codes: readonly string[];
}

/** Backup codes that are made together with another factor. */
export interface CodesForEnrollment {
  /**
   * Draws a set, outside of units as it takes long, where it is asked for or the tenant requires it, for a user who has no
   * codes. What it answers puts the set in force in the unit that enrolls, which has serialised the user.
   */
  draw(
    call: Call,
    owner: Owner,
    asked: boolean,
  ): Promise<((tx: Tx, call: Call) => Promise<ShownCodes | undefined>) | undefined>;
}

/** A user's answer, as the oneof `Proof.kind` of the contract has it. */
export type Answer = Exclude<ProofMessage["kind"], { case: undefined }>;

/** What an answer is asked for. It is good under these terms and no others. */
export interface RequiredProof {
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
export interface AcceptedProof {
  readonly factorId: string;
  /** Whether the key cannot leave the authenticator. */
  readonly deviceBound?: boolean;
  /** Whether the authenticator verified its user, and is believed to. */
  readonly userVerified?: boolean;
  /** Whether the authenticator says that it verified its user, also where that is not believed of it. */
  readonly saysVerified?: boolean;
  /** Whether it stands for both factors, by the tenant's policy. */
  readonly alone?: boolean;
  /** Whether the digest of the action is inside the signature. */
  readonly signedAction?: boolean;
  /** How many digits of the other screen were typed for it, by phones. */
  readonly numberLength?: number;
}

/** What the requester needs for a factor that was prepared. */
export interface PreparedFactor {
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
    asked: RequiredProof,
  ): Promise<Proof<unknown, unknown, AcceptedProof> | Refusal>;
  /**
   * For factors that need something before they can be proved: a code sent, a phone asked, options made. What is to be
   * done outside of units is done at once; the rest in the unit that writes the challenge. An empty `factorId` takes
   * the primary, else the last used. Prepared again, what was prepared before for the challenge is dead.
   */
  prepare?(
    call: Call,
    owner: Owner,
    asked: RequiredProof & { readonly factorId: string },
  ): Promise<((tx: Tx) => Promise<PreparedFactor | Refusal>) | Refusal>;
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
    outcome: AcceptedProof & { challengeId: string; type: Factor["type"] },
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
   * Uses a proven challenge up for another one of an audience and a purpose, in a unit that has serialised the user;
   * false when it is proven no more, or was for another audience or purpose.
   */
  spend(
    tx: Tx,
    owner: Owner,
    spending: Pick<RequiredProof, "challengeId" | "audience" | "purpose"> & { now: Date },
  ): Promise<boolean>;
}

import type { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Dialect } from "../db/dialect.ts";

/** The name of a kind of factor, as it is stored. */
export type TypeName = Exclude<keyof typeof FactorType, "UNSPECIFIED">;

/** One factor on offer, as it stood when the challenge was created. Masked. */
export interface Offer {
  readonly factorId: string;
  readonly type: TypeName;
  readonly displayName: string;
  readonly maskedTarget: string;
  readonly primary: boolean;
  /** Whether it stands for both factors; absent in rows from before this was known. */
  readonly passkeyAlone?: boolean;
}

/** What the accepted answer was worth, beside its kind. */
export interface Facts {
  readonly deviceBound: boolean;
  readonly userVerified: boolean;
  /** Whether it stood for both factors; absent in rows from before this was known. */
  readonly alone?: boolean;
  /** Whether the digest of the action is inside the signature. */
  readonly signedAction: boolean;
}

/** One proof of several that a challenge asks for. */
export interface PartialProof {
  readonly type: TypeName;
  readonly factorId: string;
  readonly facts: Facts;
}

/** Pending requests for proof, and what became of them. Holds no code and nothing that a code could be made of. */
export const challenges = (d: Dialect) =>
  d.table(
    "challenges",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      challengeId: d.text("challenge_id").notNull(),
      /**
       * As it was last written. What ends a challenge without touching it (time, a lock, a change of factors) is found
       * when it is looked at, never written here.
       */
      state: d.text("state").$type<"pending" | "proven" | "redeemed" | "cancelled" | "denied">().notNull(),
      purpose: d.text("purpose").$type<"LOG_IN" | "STEP_UP">().notNull(),
      /** The backend that created it; empty for the user. */
      createdBy: d.text("created_by").notNull(),
      /** SHA-256 of the session's id; null without one. */
      sessionDigest: d.bytes("session_digest"),
      audience: d.text("audience").notNull(),
      nonce: d.text("nonce").notNull(),
      actionType: d.text("action_type").notNull(),
      actionDigest: d.bytes("action_digest"),
      renderedAction: d.text("rendered_action").notNull(),
      /** The kinds that its requester names; empty where it names none. */
      allowedTypes: d.json<readonly TypeName[]>("allowed_types").notNull(),
      strength: d.text("strength").$type<keyof typeof AuthenticationStrength>().notNull(),
      requiresBinding: d.boolean("requires_binding").notNull(),
      /** The decision about a log-in that it follows from; empty where none was named. */
      decisionId: d.text("decision_id").notNull().default(""),
      /** Groups of kinds, all of one of which are to be proved; null where one proof will do. */
      groups: d.json<readonly (readonly TypeName[])[]>("groups"),
      /** Where there are groups, what was proved of them so far. */
      proofs: d.json<readonly PartialProof[]>("proofs"),
      offers: d.json<readonly Offer[]>("offers").notNull(),
      /** The factor that was prepared last; empty before. */
      preparedType: d.text("prepared_type").$type<TypeName | "">().notNull(),
      preparedFactorId: d.text("prepared_factor_id").notNull(),
      provenType: d.text("proven_type").$type<TypeName | "">().notNull(),
      provenFactorId: d.text("proven_factor_id").notNull(),
      facts: d.json<Facts>("facts"),
      /** The user's epoch under which it was created, then proven: with another one it has ended. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      createTime: d.instant("create_time").notNull(),
      proveTime: d.instant("prove_time"),
      expireTime: d.instant("expire_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.challengeId] }),
      d.index("challenges_by_end").on(t.expireTime),
    ],
  );

import type { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** The stored name of a kind of factor. */
export type TypeName = Exclude<keyof typeof FactorType, "UNSPECIFIED">;

/** An offered factor at the time when the challenge was created. Addresses are masked. */
export interface Offer {
  readonly factorId: string;
  readonly type: TypeName;
  readonly displayName: string;
  readonly maskedTarget: string;
  readonly primary: boolean;
  /** Whether it counts as both factors; absent in older rows. */
  readonly passkeyAlone?: boolean;
}

/** Properties of the accepted proof, beside its kind. */
export interface ProofFacts {
  readonly deviceBound: boolean;
  readonly userVerified: boolean;
  /** Whether the authenticator reported user verification; absent in older rows. */
  readonly saysVerified?: boolean;
  /** Whether it counted as both factors; absent in older rows. */
  readonly alone?: boolean;
  /** Whether the signature covers the action's digest. */
  readonly signedAction: boolean;
  /** How many digits were typed for it, by phones, else 0; absent in rows from before this was kept. */
  readonly numberLength?: number;
}

/** One proof of several that a challenge requires. */
export interface PartialProof {
  readonly type: TypeName;
  readonly factorId: string;
  readonly facts: ProofFacts;
}

/** Challenges and their states. Holds no code and nothing from which a code could be derived. */
export const challenges = (d: Dialect) =>
  d.table(
    "challenges",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      challengeId: d.text("challenge_id").notNull(),
      /**
       * The stored state. Expiry, locks and changes of factors end a challenge without a write; they are checked on
       * use.
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
      /** The kinds that the requester allows; empty for any. */
      allowedTypes: d.json<readonly TypeName[]>("allowed_types").notNull(),
      strength: d.text("strength").$type<keyof typeof AuthenticationStrength>().notNull(),
      requiresBinding: d.boolean("requires_binding").notNull(),
      /** The risk decision that it follows; empty for none. */
      decisionId: d.text("decision_id").notNull().default(""),
      /** The hosted prompt that alone may prove and redeem it; empty for none, as in older rows. */
      promptId: d.text("prompt_id").notNull().default(""),
      /** Groups of kinds: all kinds of one group are to be proved; null where one proof suffices. */
      groups: d.json<readonly (readonly TypeName[])[]>("groups"),
      /** With groups: the proofs so far. */
      proofs: d.json<readonly PartialProof[]>("proofs"),
      offers: d.json<readonly Offer[]>("offers").notNull(),
      /** The factor that was prepared last; empty before. */
      preparedType: d.text("prepared_type").$type<TypeName | "">().notNull(),
      preparedFactorId: d.text("prepared_factor_id").notNull(),
      provenType: d.text("proven_type").$type<TypeName | "">().notNull(),
      provenFactorId: d.text("proven_factor_id").notNull(),
      facts: d.json<ProofFacts>("facts"),
      /** The user's epoch at creation, then at the proof: under another one the challenge has ended. */
      mfaEpoch: d.counter("mfa_epoch").notNull(),
      createTime: d.instant("create_time").notNull(),
      proveTime: d.instant("prove_time"),
      expireTime: d.instant("expire_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.challengeId] }),
      d.index("challenges_by_end").on(t.expireTime),
    ],
  );

bindRows(
  challenges,
  [
    ...(["tenantId", "userId", "challengeId", "purpose", "createdBy", "sessionDigest", "audience", "nonce"] as const),
    ...(["actionType", "actionDigest", "renderedAction", "allowedTypes", "strength", "requiresBinding"] as const),
    ...([
      "decisionId",
      "promptId",
      "groups",
      "proofs",
      "offers",
      "provenType",
      "provenFactorId",
      "facts",
      "mfaEpoch",
    ] as const),
    ...(["createTime", "proveTime", "expireTime"] as const),
  ],
  {
    state: "ends it, or takes it back to an earlier state: that it was proven is under the MAC",
    preparedType: "what is sent again when nothing else is asked for",
    preparedFactorId: "what is sent again when nothing else is asked for",
    updateTime: "shown, and asked nowhere",
  },
  // Written only by the unit that accepts a proof.
  {
    agrees: ({ state, provenType }) =>
      state === "proven" || state === "redeemed" ? provenType !== "" : state !== "pending" || provenType === "",
  },
);

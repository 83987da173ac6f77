import type { Expectation } from "../client/assertion.ts";
import {
  type AssertionPayload,
  AssertionRejected,
  AssertionUndecided,
  createAssertionVerifier,
} from "../client/assertion.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { bearerId } from "../crypto/random.ts";
import type { Owner, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { wasLockedSince } from "../protection/attempts.ts";
import { userRepository } from "../users/users.repository.ts";
import type { AssertionKeys, Signer } from "./assertion-keys.ts";
import { assertionRepository } from "./assertions.repository.ts";
import { type Method, statedAs } from "./methods.ts";

/** Dependencies of assertions. */
export interface AssertionOptions {
  readonly keys: AssertionKeys;
  /** This service, as `iss`. */
  readonly issuer: string;
  readonly clock: () => Date;
}

/** What is to be stated. */
export interface AssertionStatement {
  /** Every proof, the strongest first. */
  readonly methods: readonly Method[];
  readonly owner: Owner;
  readonly audience: string;
  readonly sessionDigest: Buffer | null;
  readonly nonce: string;
  readonly action: { readonly type: string; readonly digest: Buffer } | undefined;
  /** Whether the action's digest is inside of what the authenticator signed. */
  readonly signedAction: boolean;
  readonly challengeId: string;
  readonly purpose: "LOG_IN" | "STEP_UP";
  /** The version of the risk policy that the terms of the challenge came from; 0 for none. */
  readonly policyVersion: number;
  readonly mfaEpoch: number;
  readonly proveTime: Date;
}

/** An assertion as it is given out. */
export interface Issued {
  readonly token: string;
  readonly claims: AssertionPayload;
}

const LIFETIME_MS = 120_000;
const ACTION_LIFETIME_MS = 60_000;
/** Who takes an assertion allows clocks to differ; until then it can be looked up. */
const SKEW_MS = 30_000;

const seconds = (time: Date) => Math.floor(time.getTime() / 1000);
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Puts claims into a compact JWS (RFC 7515 §7.1). */
function signed({ keyId: kid, algorithm: alg, sign }: Signer, claims: AssertionPayload): string {
  const input = `${encode({ alg, typ: "mfa-assertion+jwt", kid })}.${encode(claims)}`;
  return `${input}.${sign(input).toString("base64url")}`;
}

/** Signed statements of what a user proved, for one audience each, and what became of them. */
export function createAssertions({ keys, issuer, clock }: AssertionOptions) {
  const claimsOf = (statement: AssertionStatement, now: Date): AssertionPayload => {
    const { owner, sessionDigest, nonce, action, signedAction, challengeId } = statement;
    const iat = seconds(now);
    return {
      iss: issuer,
      aud: statement.audience,
      sub: owner.userId,
      tid: owner.tenantId,
      ...(sessionDigest && { sid: sessionDigest.toString("base64url") }),
      ...statedAs(statement.methods),
      pur: statement.purpose === "LOG_IN" ? "log_in" : "step_up",
      auth_time: seconds(statement.proveTime),
      iat,
      nbf: iat,
      exp: iat + (action ? ACTION_LIFETIME_MS : LIFETIME_MS) / 1000,
      jti: bearerId(),
      ...(nonce !== "" && { nonce }),
      ...(action && {
        act: { type: action.type, digest: action.digest.toString("base64url") },
        bnd: signedAction ? "authenticator" : "server",
      }),
      pol: statement.policyVersion,
      ...(challengeId !== "" && { cid: challengeId }),
    };
  };

  const verifier = (audience: string) =>
    createAssertionVerifier({
      issuer,
      audience,
      clock,
      key: async (keyId) => (await keys.keySet()).keys.find(({ kid }) => kid === keyId),
      // Spent below, in a unit and in the user's row.
      once: async () => true,
    });

  const rejected = () => new Refusal("ASSERTION_REJECTED");

  return {
    /** Readies the key outside of units; what it answers notes a statement in the unit of its cause. */
    async ready() {
      const signer = await keys.signer();
      return async (tx: Tx, statement: AssertionStatement, now: Date): Promise<Issued> => {
        const { owner, mfaEpoch, proveTime } = statement;
        const claims = claimsOf(statement, now);
        const rows = assertionRepository(tx);
        await rows.deleteExpired(owner, now);
        await rows.insert({
          ...owner,
          assertionId: claims.jti,
          mfaEpoch,
          proveTime,
          consumeTime: null,
          expireTime: new Date(claims.exp * 1000 + SKEW_MS),
        });
        return { token: signed(signer, claims), claims };
      };
    },

    /** What an assertion states, if it holds for the audience and the request; throws ASSERTION_REJECTED otherwise. */
    async read(token: string, audience: string, expected: Expectation): Promise<AssertionPayload> {
      try {
        return await verifier(audience)(token, expected);
      } catch (error) {
        if (error instanceof AssertionRejected) throw rejected();
        // The store that holds our own keys is away: told as for every other call.
        throw error instanceof AssertionUndecided ? error.cause : error;
      }
    },

    /** What has become of an assertion since: consumed, or ended by a lock, by changed factors, by time or an erasure. */
    async standingOf(
      tx: Tx,
      owner: Owner,
      { jti: assertionId }: AssertionPayload,
      now: Date,
    ): Promise<"open" | "consumed" | "ended"> {
      const row = await assertionRepository(tx).findUnexpired({ ...owner, assertionId }, now);
      if (!row) return "ended";
      if (row.consumeTime !== null) return "consumed";
      const user = await userRepository(tx).find(owner);
      if (user?.mfaEpoch !== row.mfaEpoch) return "ended";
      return (await wasLockedSince(tx, owner, row.proveTime)) ? "ended" : "open";
    },

    /** Throws ASSERTION_REJECTED unless an assertion still stands. */
    async confirm(tx: Tx, owner: Owner, claims: AssertionPayload, now: Date): Promise<void> {
      if ((await this.standingOf(tx, owner, claims, now)) !== "open") throw rejected();
    },

    /** Tells that an assertion was presented again which had been used up. */
    noteReplay: (tx: Tx, call: Call, owner: Owner, { cid = "" }: AssertionPayload): Promise<void> =>
      recordEvent(tx, call, { owner, type: "PROOF_REPLAYED", failureReason: "REPLAYED", challengeId: cid }),

    /** Uses an assertion up, in a write that has confirmed it; throws ASSERTION_REJECTED where another was first. */
    async consume(tx: Tx, owner: Owner, { jti: assertionId }: AssertionPayload, now: Date): Promise<void> {
      if (!(await assertionRepository(tx).consume({ ...owner, assertionId }, now))) throw rejected();
    },

    /** Takes a use back, in the unit of the refusal that it came to. */
    async giveBack(tx: Tx, owner: Owner, { jti: assertionId }: AssertionPayload): Promise<void> {
      await assertionRepository(tx).giveBack({ ...owner, assertionId });
    },
  };
}

/** Assertions of this service. */
export type Assertions = ReturnType<typeof createAssertions>;

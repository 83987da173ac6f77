// A backend's log-in, from "the password was right" to a session, against the public API and nothing else: judged by
// EvaluateMfa, challenged, redeemed, and the assertion verified offline by the verifier that is shipped. The page in
// front of it is main.mjs. Node from 22.18 on, as the verifier is TypeScript.
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import { createAssertionVerifier, remoteKeys } from "../../src/client/assertion.ts";

const rpcs = InternalMfaService.method;
const secret = () => randomBytes(16).toString("base64url");

/** What is left to prove of a challenge: nothing of a proven one; undefined where nothing can come of it any more. */
const leftOf = ({ state, factors }) => ({ [ChallengeState.PENDING]: factors, [ChallengeState.PROVEN]: [] })[state];

/** The stable reason of a refusal, such as CODE_REJECTED; clients branch on it, never on the text. */
function reasonOf({ metadata, details }) {
  const [bytes] = metadata?.get("grpc-status-details-bin") ?? [];
  const found = bytes ? fromBinary(StatusSchema, bytes).details : [];
  return found.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find(Boolean)?.reason ?? details;
}

/** One gRPC channel to the service. */
export function connect(address) {
  const channel = new Client(address, credentials.createInsecure()); // in production: createSsl()
  const parts = ({ parent, name, input, output }, authorization) => {
    const metadata = new Metadata();
    metadata.set("authorization", authorization);
    const write = (message) => Buffer.from(toBinary(input, message));
    return [`/${parent.typeName}/${name}`, write, (body) => fromBinary(output, body), metadata];
  };
  return {
    close: () => channel.close(),
    /** One unary call; a refusal is thrown with its reason as its message. */
    call: (method, authorization, fields) =>
      new Promise((resolve, reject) => {
        const [path, write, read, metadata] = parts(method, authorization);
        const done = (error, reply) => (error ? reject(new Error(reasonOf(error))) : resolve(reply));
        const options = { deadline: Date.now() + 10_000 };
        channel.makeUnaryRequest(path, write, read, create(method.input, fields), metadata, options, done);
      }),
    /** The messages of a stream, as they come. */
    stream: (method, authorization, fields) => {
      const [path, write, read, metadata] = parts(method, authorization);
      return channel.makeServerStreamRequest(path, write, read, create(method.input, fields), metadata);
    },
  };
}

/**
 * Log-ins of one application. `token` is the backend's own, `audience` its name in it; `strength` is what the
 * application asks for at least; `confirm` ("EMAIL") is what it wants of whoever needs no factor, if they have it.
 */
export function createLogIn({ channel, token, audience, keySetUrl, strength = "UNSPECIFIED", confirm = "" }) {
  const call = (method, fields) => channel.call(method, `Bearer ${token}`, fields);
  // Of an example: in production one INSERT into a table that all instances share.
  const used = new Set();
  const once = async (id) => used.size < used.add(id).size;
  const verifyOnce = createAssertionVerifier({ issuer: "mfa-service", audience, key: remoteKeys(keySetUrl), once });

  /** The challenge is spent by now: where nothing could be decided, the same assertion is verified again. */
  async function verify(assertion, expected, tries = 3) {
    try {
      return await verifyOnce(assertion, expected);
    } catch (error) {
      if (!error.retry || tries === 1) throw error;
      await pause(error.retryAfterMs);
      return verify(assertion, expected, tries - 1);
    }
  }

  /** Creates a challenge on terms, for a session and a nonce of its own. */
  async function challenged({ userId, client }, about, { decisionId = "", ...terms }) {
    const purpose = ChallengePurpose.LOG_IN;
    const asked = { userId, client, decisionId, terms: { purpose, ...about, ...terms } };
    const { challenge } = await call(rpcs.createUserChallenge, asked);
    return { logIn: { userId, client, ...about, challengeId: challenge.challengeId }, factors: challenge.factors };
  }

  return {
    /** After the password: what this log-in still needs. The session's id is new, whatever the browser had before. */
    async begin({ userId, client, trustToken = "" }) {
      const first = { userId, client, trustToken, strength: AuthenticationStrength[strength] };
      const about = { sessionId: secret(), nonce: secret() };
      const { sessionId } = about;
      const found = await call(rpcs.evaluateMfa, {
        ...first,
        sessionId,
        firstFactorTime: timestampFromDate(new Date()),
      });
      const decision = MfaDecision[found.decision];
      if (decision === "ALLOW") {
        // Nothing is demanded. An application may still want to see that a mailbox is theirs: no second factor.
        const terms = { allowedFactorTypes: [FactorType[confirm]] };
        const extra = confirm ? await challenged(first, about, terms) : undefined;
        if (extra?.factors.length > 0) return extra;
        return { session: { sessionId, userId, acr: "aal1", amr: ["pwd"], mfaEpoch: String(found.mfaEpoch) } };
      }
      if (decision === "ENROLL") return { ticket: found.ticket, enrollable: found.enrollableTypes };
      if (decision !== "CHALLENGE") return { denied: true };
      // What was judged is what has to be proved, by the factors that were offered for it and no others.
      const { decisionId, strength: least } = found;
      const allowedFactorTypes = [...new Set(found.factors.map(({ type }) => type))];
      return challenged(first, about, { decisionId, strength: least, allowedFactorTypes });
    },

    /** Sends the code, asks the phone or makes the options of the factor that the user chose. */
    async prepare({ userId, client, challengeId }, { type, factorId = "" }) {
      const asked = { userId, client, challengeId, factorType: FactorType[type], factorId };
      return (await call(rpcs.resendUserChallenge, asked)).preparation?.kind ?? { case: undefined };
    },

    /**
     * Takes the user's answer, and says what is left to prove: a decision may ask for several factors. Throws
     * CODE_REJECTED where it is wrong, and LOCKED where too many were.
     */
    async answer({ userId, client, challengeId }, kind) {
      const { challenge } = await call(rpcs.verifyUserChallenge, { userId, client, challengeId, proof: { kind } });
      return leftOf(challenge);
    },

    /** Waits for a factor that is answered elsewhere, on a phone, and says what is left to prove then. */
    async answered({ userId, challengeId }, type) {
      const states = channel.stream(rpcs.watchUserChallenge, `Bearer ${token}`, { userId, challengeId });
      for await (const { challenge } of states) {
        const left = leftOf(challenge);
        if (left?.some((factor) => factor.type === FactorType[type])) continue;
        states.cancel();
        return left;
      }
      return undefined;
    },

    /** Redeems the proof, once, and makes the session of what the assertion says and nothing else. */
    async finish({ userId, client, challengeId, sessionId, nonce }) {
      const redeemed = await call(rpcs.redeemChallenge, { userId, client, challengeId, sessionId, nonce });
      const expected = { tenantId: "dev", userId, sessionId, nonce, acr: "aal1", purpose: "log_in" };
      const { sub, acr, amr, auth_time: authTime } = await verify(redeemed.assertion.token, expected);
      // The epoch stays with the session: an event with a greater one says that the user's factors have changed.
      const { restrictedSession: restricted, mfaEpoch } = redeemed;
      return { sessionId, userId: sub, acr, amr: ["pwd", ...amr], authTime, restricted, mfaEpoch: String(mfaEpoch) };
    },
  };
}

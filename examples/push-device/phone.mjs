// What an authenticator app does: holds a key, proves that it does, reads what waits, signs answers. Shares no code
// with the service but the messages generated from the contract.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushDenyReason, PushKeyAlgorithm } from "../../gen/mfa/v1/push_pb.js";

/** A call that the service refused: `reason` is stable, such as CODE_REJECTED; apps branch on it, never on the text. */
export class Refused extends Error {
  constructor(error) {
    const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const details = bytes ? fromBinary(StatusSchema, bytes).details : [];
    const info = details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find(Boolean);
    super(info?.reason ?? error.details ?? error.message);
    this.code = error.code;
    this.reason = info?.reason ?? "";
    this.metadata = info?.metadata ?? {};
  }
}

/** Parts, each behind its length as four bytes, so that no two lists give the same bytes. */
export function frame(...parts) {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** Reads what a QR code says: "mfapush://pair?token=…&issuer=…&address=…". A bare token is one too. */
export function readPairing(text) {
  const query = text.includes("?") ? new URLSearchParams(text.slice(text.indexOf("?"))) : undefined;
  return {
    token: query?.get("token") ?? text,
    issuer: query?.get("issuer") ?? "",
    address: query?.get("address") ?? "",
  };
}

/** A new key of this phone's, as it is kept: "ES256" or "ED25519". */
export function newKey(algorithm = "ES256") {
  const { privateKey } =
    algorithm === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
  return { algorithm, privateKey: privateKey.export({ format: "pem", type: "pkcs8" }) };
}

/** One unary call with a header of its own. */
const call = (channel, method, authorization, fields) =>
  new Promise((resolve, reject) => {
    const metadata = new Metadata();
    metadata.set("authorization", authorization);
    channel.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message) => Buffer.from(toBinary(method.input, message)),
      (body) => fromBinary(method.output, body),
      create(method.input, fields),
      metadata,
      (error, reply) => (error ? reject(new Refused(error)) : resolve(reply)),
    );
  });

/** Dev mode has no TLS, and is reached from its own machine only. */
const isHere = (address) => /^(127\.0\.0\.1|localhost|\[::1\]):\d+$/.test(address);

/**
 * A phone. `state` is what it keeps: `{ address, key, deviceId }`, the last one after pairing. Whatever a QR code says,
 * nothing is sent elsewhere in clear text. `now` is for tests.
 */
export function openPhone(state, { now = () => new Date() } = {}) {
  const using = isHere(state.address) ? credentials.createInsecure() : credentials.createSsl();
  const channel = new Client(state.address, using);
  const privateKey = createPrivateKey(state.key.privateKey);
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const isEcdsa = state.key.algorithm === "ES256";
  const signed = (bytes, dsaEncoding = "der") =>
    isEcdsa ? sign("sha256", bytes, { key: privateKey, dsaEncoding }) : sign(null, bytes, privateKey);

  /** The header of one call: a JWT for this RPC, for a minute, good once. */
  const header = (method) => {
    const json = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const head = { typ: "mfa-device+jwt", alg: isEcdsa ? "ES256" : "EdDSA", kid: state.deviceId };
    const claims = {
      sub: state.deviceId,
      aud: `${method.parent.typeName}/${method.name}`,
      iat: Math.floor(now().getTime() / 1000),
      jti: randomBytes(16).toString("base64url"),
    };
    const text = `${json(head)}.${json(claims)}`;
    return `Device ${text}.${signed(Buffer.from(text), "ieee-p1363").toString("base64url")}`;
  };
  const ask = (method, fields) => call(channel, method, header(method), fields);
  const { finishPushDeviceEnrollment, listPendingPushChallenges, approvePushChallenge, denyPushChallenge } =
    MfaService.method;

  /** The signature of an answer, over what was shown. */
  const answer = ({ pushChallengeId, nonce, actionDigest }, number, ...decision) =>
    signed(frame("mfa-push-v1", pushChallengeId, nonce, number, actionDigest, ...decision));

  return {
    publicKey,
    ask,
    answer,
    /** Pairs by the token of a QR code; answers the account, the issuer and the device. */
    async pair(token, { address = { kind: { case: "poll", value: true } }, displayName = "Simulated phone" } = {}) {
      const digest = createHash("sha256").update(publicKey).digest();
      const reply = await call(channel, finishPushDeviceEnrollment, `Device ${token}`, {
        pairingToken: token,
        keyAlgorithm: PushKeyAlgorithm[state.key.algorithm],
        publicKey,
        signature: signed(frame("mfa-push-pair-v1", token, digest)),
        address,
        displayName,
        platform: `Node ${process.version}`,
      });
      state.deviceId = reply.device.deviceId;
      return reply;
    },
    /** What waits for this phone. */
    pending: async () => (await ask(listPendingPushChallenges, {})).challenges,
    /** Approves what was shown, by the number that the person typed. */
    approve: (challenge, number) =>
      ask(approvePushChallenge, {
        pushChallengeId: challenge.pushChallengeId,
        number,
        signature: answer(challenge, number, "approve"),
      }),
    /** Denies what was shown: "NOT_ME", "MISTAKE" or "OTHER". */
    deny: (challenge, reason = "OTHER") =>
      ask(denyPushChallenge, {
        pushChallengeId: challenge.pushChallengeId,
        denyReason: PushDenyReason[reason],
        signature: answer(challenge, "", "deny", reason),
      }),
    /** Tells where this phone receives from now on. */
    rotate: (address) => ask(MfaService.method.rotatePushDeviceToken, { address }),
    close: () => channel.close(),
  };
}

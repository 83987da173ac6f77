// A backend that logs a user in with an authenticator app, over gRPC. Runs on any Node from 20 on:
//
//   export USER_TOKEN=$(npm run -s token -- user eve) SERVICE_TOKEN=$(npm run -s token -- service shop)
//   node examples/totp-login/login.mjs eve    (without USER_TOKEN it only logs in)
import { createInterface } from "node:readline";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";

const { MFA_ADDRESS = "127.0.0.1:11005", USER_TOKEN, SERVICE_TOKEN } = process.env;
const channel = new Client(MFA_ADDRESS, credentials.createInsecure()); // in production: createSsl()

/** Makes one unary call; a refusal is thrown with its reason. */
function call({ parent, name, input, output }, token, fields) {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const path = `/${parent.typeName}/${name}`;
  const serialise = (message) => Buffer.from(toBinary(input, message));
  const parse = (body) => fromBinary(output, body);
  const options = { deadline: Date.now() + 5_000 };
  return new Promise((resolve, reject) => {
    const done = (error, reply) => (error ? reject(new Error(reasonOf(error) ?? error.message)) : resolve(reply));
    channel.makeUnaryRequest(path, serialise, parse, create(input, fields), metadata, options, done);
  });
}

/** The stable reason of a refusal, such as CODE_REJECTED; clients branch on it, never on the text. */
function reasonOf({ metadata }) {
  const [bytes] = metadata.get("grpc-status-details-bin");
  const details = bytes ? fromBinary(StatusSchema, bytes).details : [];
  return details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find(Boolean)?.reason;
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (question) => {
  process.stdout.write(`${question}\n`);
  return (await lines.next()).value ?? "";
};

const [userId = "eve"] = process.argv.slice(2);
try {
  if (USER_TOKEN) {
    const { provisioning } = await call(MfaService.method.startTotpEnrollment, USER_TOKEN, {});
    const code = await ask(`Add this to an authenticator app: ${provisioning.otpauthUri}\nThe code it shows?`);
    await call(MfaService.method.finishTotpEnrollment, USER_TOKEN, { code });
  }
  const code = await ask(`A new code of ${userId}?`);
  const { deviceId } = await call(InternalMfaService.method.verifyUserTotpCode, SERVICE_TOKEN, { userId, code });
  process.stdout.write(`${userId} is logged in by device ${deviceId}\n`);
} catch (refusal) {
  process.stdout.write(`no: ${refusal.message}\n`);
  process.exitCode = 1;
}
channel.close();
process.stdin.destroy();

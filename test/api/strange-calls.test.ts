import { type ClientHttp2Session, connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { ListTotpDevicesRequestSchema } from "../../gen/mfa/v1/totp_pb.js";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const LIST = "/mfa.v1.MfaService/ListTotpDevices";
const WATCH = "/mfa.v1.MfaService/WatchChallenge";
const MESSAGE = Buffer.from(
  toBinary(ListTotpDevicesRequestSchema, create(ListTotpDevicesRequestSchema, { pageSize: 3 })),
);

function envelope(body: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** What a client of any language sees. */
interface Answer {
  readonly status: string | undefined;
  readonly message: string;
  readonly reason: string | undefined;
  readonly metadata: Record<string, string> | undefined;
  readonly encodings: unknown;
}

/** One call over HTTP/2 by hand: any headers, any bytes. */
function call(session: ClientHttp2Session, path: string, headers: Record<string, string>, body: Buffer) {
  return new Promise<Answer>((resolve) => {
    const fixed = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request({ ...fixed, ...headers });
    const seen: Record<string, unknown> = {};
    stream.on("response", (fields) => Object.assign(seen, fields));
    stream.on("trailers", (fields) => Object.assign(seen, fields));
    stream.on("error", () => {});
    stream.on("close", () => {
      const details = seen["grpc-status-details-bin"];
      const packed = details ? fromBinary(StatusSchema, Buffer.from(String(details), "base64")).details : [];
      const [info] = packed.map((any) => anyUnpack(any, ErrorInfoSchema)).filter(Boolean);
      resolve({
        status: status[Number(seen["grpc-status"])],
        message: decodeURI(String(seen["grpc-message"] ?? "")),
        reason: info?.reason,
        metadata: info?.metadata,
        encodings: seen["grpc-accept-encoding"],
      });
    });
    stream.resume();
    stream.end(body);
  });
}

describe("over gRPC", () => {
  const start = async () => {
    const service = await serviceForTest(sqlite);
    const session = connect(`http://127.0.0.1:${service.port}`);
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    const authorization = `Bearer ${await service.user("ann")}`;
    const limitHits = async (limit: string) => {
      const text = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
      return Number(new RegExp(`mfa_limit_hits_total\\{limit="${limit}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
    };
    const send = (headers: Record<string, string>, body: Buffer, path = LIST) =>
      call(session, path, { authorization, ...headers }, body);
    return { service, send, limitHits };
  };

  test("a plain call is answered, and says that nothing compressed is taken", async () => {
    const { send } = await start();
    expect(await send({}, envelope(MESSAGE))).toMatchObject({ status: "OK", encodings: "identity" });
    expect(await send({ "grpc-encoding": "identity" }, envelope(MESSAGE))).toMatchObject({ status: "OK" });
  });

  test.each([
    ["a good one", "gzip", envelope(gzipSync(MESSAGE), 1)],
    ["a bad one", "gzip", envelope(Buffer.from("no gzip"), 1)],
    ["a bad one of another kind", "deflate", envelope(Buffer.from("no deflate"), 1)],
    ["of no kind we know", "x-hunter2", envelope(MESSAGE, 1)],
    ["announced only", "gzip", envelope(MESSAGE)],
  ])("a compressed message is refused: %s", async (_, encoding, body) => {
    const { send, limitHits } = await start();
    const message = "compressed messages are not accepted";
    const due = { status: "UNIMPLEMENTED", message, reason: "ENCODING_REFUSED" };
    expect(await send({ "grpc-encoding": encoding }, body)).toMatchObject(due);
    expect(await send({ "grpc-encoding": encoding }, body, WATCH)).toMatchObject(due);
    expect(await limitHits("compression")).toBe(2);
  });

  test("a message that claims to be compressed without saying how is refused", async () => {
    const { send } = await start();
    const answer = await send({}, envelope(gzipSync(MESSAGE), 1));
    // Bytes that are no message, then; never an internal error.
    expect(answer.status).toMatch(/^(INVALID_ARGUMENT|UNIMPLEMENTED)$/);
  });

  test.each(["junk", "hunter2", "", "1", "S"])("the timeout %j is refused and not repeated", async (timeout) => {
    const { send } = await start();
    const answer = await send({ "grpc-timeout": timeout }, envelope(MESSAGE));
    expect(answer).toMatchObject({ status: "INVALID_ARGUMENT", message: "grpc-timeout is no timeout" });
  });

  test.each(["99999999H", "999999H", "99999999S", "2592000S", "3000000S", "4294967S", "4294968S", "71583H"])(
    "a timeout longer than anything, %s, is as good as none",
    async (timeout) => {
      const { send } = await start();
      expect(await send({ "grpc-timeout": timeout }, envelope(MESSAGE))).toMatchObject({ status: "OK" });
    },
  );

  test.each([
    ["no message", Buffer.alloc(0)],
    ["two messages", Buffer.concat([envelope(MESSAGE), envelope(MESSAGE)])],
    ["a hundred messages", Buffer.concat(Array.from({ length: 100 }, () => envelope(MESSAGE)))],
  ])("a unary call of %s is malformed", async (_, body) => {
    const { send, limitHits } = await start();
    expect(await send({}, body)).toMatchObject({ status: "INVALID_ARGUMENT", reason: "MALFORMED_MESSAGE" });
    expect(await limitHits("message_count")).toBe(1);
  });

  test("a message over 64 KiB is refused in our words", async () => {
    const { send, limitHits } = await start();
    const answer = await send({}, envelope(Buffer.alloc(70_000)));
    const message = "the message is larger than 64 KiB";
    expect(answer).toMatchObject({ status: "RESOURCE_EXHAUSTED", message, reason: "TOO_LARGE" });
    expect(await limitHits("message_size")).toBe(1);
  });

  test.each([LIST, "/grpc.health.v1.Health/Watch"])(
    "a token of 16.4 KiB is refused at %s with a reason and with how much is taken",
    async (path) => {
      const { send, limitHits } = await start();
      const answer = await send({ authorization: `Bearer ${"a".repeat(16_800)}` }, envelope(MESSAGE), path);
      expect(answer).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE" });
      expect(answer.message).toBe("the metadata is larger than 16 KiB");
      expect(answer.metadata).toEqual({ what: "metadata", limit_bytes: "16384" });
      expect(await limitHits("metadata")).toBe(1);
    },
  );
});

describe("over the gateway", () => {
  const post = async (body: string | Uint8Array<ArrayBuffer>, contentType: string, path = "ListTotpDevices") => {
    const service = await serviceForTest(sqlite);
    const headers = { "content-type": contentType, authorization: `Bearer ${await service.user("ann")}` };
    const url = `http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/${path}`;
    const response = await fetch(url, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  };
  /** Of a Connect error. */
  const reasonIn = (text: string) => {
    const {
      code,
      message,
      details = [],
    } = JSON.parse(text) as {
      code: string;
      message: string;
      details?: { value: string }[];
    };
    const [detail] = details;
    return { code, message, reason: detail && fromBinary(ErrorInfoSchema, Buffer.from(detail.value, "base64")).reason };
  };
  const malformed = {
    code: "invalid_argument",
    message: "the body is not a message of the expected type",
    reason: "MALFORMED_MESSAGE",
  };

  test.each(["{", "[]", "null", '"hunter2"', '{"pageSize": "hunter2"}', '{"pageSize": 1e99}', "", "\u0000", "{} {}"])(
    "JSON that is no message, %j, is refused with the reason and without what was sent",
    async (body) => {
      const { status: http, text } = await post(body, "application/json");
      expect(http).toBe(400);
      expect(reasonIn(text)).toEqual(malformed);
    },
  );

  test("JSON in an envelope likewise", async () => {
    const body = Buffer.from('{"challengeId": 5}');
    const { text } = await post(new Uint8Array(envelope(body)), "application/connect+json", "WatchChallenge");
    const end = JSON.parse(text.slice(text.indexOf("{"))) as { error: object };
    expect(reasonIn(JSON.stringify(end.error))).toEqual(malformed);
  });

  test("JSON with fields that we do not know is a message all the same", async () => {
    const { status: http } = await post('{"pageSize": 3, "sinceTheNextVersion": true}', "application/json");
    expect(http).toBe(200);
  });
});

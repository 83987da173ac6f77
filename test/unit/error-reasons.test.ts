import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/mfa/v1/error_reason_pb.js";
import { type Reason, Refusal } from "../../src/core/refusal.ts";
import { refusalToError } from "../../src/rpc/serve/errors.ts";

const contract = readFileSync(
  join(import.meta.dirname, "..", "..", "proto", "mfa", "v1", "error_reason.proto"),
  "utf8",
);

/** The names of the contract's reasons, each with the status that its comment begins with. */
const stated = [...contract.matchAll(/((?:^ *\/\/.*\n)+) *ERROR_REASON_(\w+) = \d+;/gm)].map(([, comment, name]) => [
  name,
  comment?.match(/^ *\/\/ ([A-Z_]+)[: ]/)?.[1],
]);

const isReason = (name: string): name is Reason => Number.isNaN(Number(name)) && name !== "UNSPECIFIED";
const wireName = (code: Code) => Code[code].replace(/(?!^)[A-Z]/g, "_$&").toUpperCase();

test("every reason is sent with the status that the contract states", () => {
  const names = Object.keys(ErrorReason).filter(isReason);
  expect(names.length).toBeGreaterThan(40);
  expect(stated.filter(([, code]) => code)).toEqual(
    expect.arrayContaining(names.map((name) => [name, wireName(refusalToError(new Refusal(name)).code)])),
  );
});

test("a reason that is not stated is never sent", () => {
  expect(stated).toContainEqual(["UNSPECIFIED", undefined]);
  expect(() => refusalToError(new Refusal("UNSPECIFIED" as Reason))).toThrow(TypeError);
});

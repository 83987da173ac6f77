import { create, type DescMethod, equals, fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { type FieldOption, optionsOf } from "../../src/cli/mfactl/fields.ts";
import type { Io } from "../../src/cli/mfactl/io.ts";
import { requestOf } from "../../src/cli/mfactl/request.ts";
import { verbOf } from "../../src/cli/mfactl/words.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { operator } from "./world.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const services = [
  ["admin", AdminMfaService],
  ["internal", InternalMfaService],
] as const;
const methods = services.flatMap(([group, { methods }]) =>
  methods.map((method: DescMethod) => {
    const isStream = method.methodKind !== "unary";
    return {
      line: [group, ...(isStream ? ["tail"] : []), verbOf(method.name)],
      method,
      options: optionsOf(method.input),
    };
  }),
);

/** A text for each kind of value. */
function sampleOf({ value, choices, isList }: FieldOption): string {
  if (choices.length > 0) return choices[0] ?? "";
  const samples: Record<string, string> = {
    text: "a",
    base64: "YWI=",
    number: "7",
    duration: "1h30m",
    time: "2026-03-01T12:00:00Z",
  };
  return samples[value] ?? (value === "" ? "true" : isList ? "[]" : "{}");
}

test("every option of every verb makes its field, and the same request comes of JSON", async () => {
  const io = { stdin: async () => "", now: () => new Date() } as Io;
  for (const { method, options, line } of methods) {
    expect(new Set(options.map(({ name }) => name)).size, line.join(" ")).toBe(options.length);
    for (const option of options.filter(({ value }) => value !== "json")) {
      const text = sampleOf(option);
      const given = { options: new Map([[option, option.isList ? [text] : text]]), json: undefined };
      const request: Message = await requestOf(method.input, given, io);
      const json = toJson(method.input, request);
      expect(equals(method.input, request, create(method.input)), `${line.join(" ")} --${option.name}`).toBe(false);
      const again = await requestOf(method.input, { options: new Map(), json: JSON.stringify(json) }, io);
      expect(equals(method.input, again, fromJson(method.input, json as JsonValue))).toBe(true);
    }
  }
});

describe("every RPC of administrators and backends is a verb", async () => {
  test("whose help names each field with its comment, and the scope", async () => {
    const { run } = operator();
    for (const { line, options } of methods) {
      const { exit, out } = await run([...line, "--help"]);
      expect(exit, line.join(" ")).toBe(0);
      for (const { name, help } of options) {
        expect(out).toContain(`--${name} `);
        expect(help, `${line.join(" ")} --${name}`).not.toBe("");
      }
    }
    expect(methods.length).toBe(AdminMfaService.methods.length + InternalMfaService.methods.length);
  });

  test("and tells a refusal with its reason, what it means and what to do", async () => {
    const service = await serviceForTest(sqlite);
    const { run } = operator({ MFACTL_ADDRESS: `http://127.0.0.1:${service.port}`, MFACTL_TOKEN: "no-token" });
    for (const { line } of methods) {
      const { exit, out, err } = await run([...line, "--yes"]);
      expect({ exit, out }, line.join(" ")).toEqual({ exit: 1, out: "" });
      expect(err).toMatch(
        /^refused: a valid credential is required.* \(INVALID_CREDENTIAL\)\n {2}no credential, or one that/,
      );
      expect(err).toMatch(/\n {2}what to do: `mfactl token explain` shows which check the token fails\n$/);
    }
  });
});

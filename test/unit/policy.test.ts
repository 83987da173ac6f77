import { create, type DescMethod, setExtension } from "@bufbuild/protobuf";
import { type MethodOptions, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { AccessSchema, Acr, access, Principal } from "../../gen/mfa/v1/options_pb.js";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";

/** An RPC whose options say this of who may call it. */
function method(principals?: Principal[], more: { scope?: string; acr?: Acr } = {}): DescMethod {
  const options: MethodOptions = create(MethodOptionsSchema);
  if (principals) setExtension(options, access, create(AccessSchema, { principals, acr: Acr.AAL2, ...more }));
  const plain = MfaService.method.getMfaStatus;
  return { ...plain, proto: { ...plain.proto, options } };
}

test("an RPC that states no kind of caller, or none that there is, is refused at the start", () => {
  expect(rpcPolicyOf(method([Principal.USER])).principals).toEqual(new Set([Principal.USER]));
  expect(() => rpcPolicyOf(method())).toThrow("is missing");
  expect(() => rpcPolicyOf(method([]))).toThrow("names no principal");
  expect(() => rpcPolicyOf(method([Principal.UNSPECIFIED]))).toThrow("names no principal");
  expect(() => rpcPolicyOf(method([Principal.USER, Principal.UNSPECIFIED]))).toThrow("names no principal");
});

test("an RPC for backends or administrators that names no scope is refused at the start", () => {
  for (const principal of [Principal.SERVICE, Principal.ADMIN]) {
    expect(() => rpcPolicyOf(method([principal]))).toThrow("names no scope");
    expect(rpcPolicyOf(method([principal], { scope: "mfa.read" })).scope).toBe("mfa.read");
  }
});

test("an RPC for users that asks for no level is refused at the start", () => {
  for (const principal of [Principal.USER, Principal.ADMIN]) {
    const unsaid = method([principal], { scope: "mfa.read", acr: Acr.UNSPECIFIED });
    expect(() => rpcPolicyOf(unsaid)).toThrow("names no acr");
  }
});

import { setImmediate } from "node:timers/promises";
import type { DescMessage, DescMethod, Message } from "@bufbuild/protobuf";
import { type Violation, violationsToProto } from "@bufbuild/protovalidate";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Interceptor } from "@connectrpc/connect";
import { ImportedFactorSchema } from "../../../gen/mfa/v1/import_pb.js";
import { Refusal } from "../../core/refusal.ts";
import { compileRules, violationsOf } from "../../core/rules.ts";
import { refusalToError } from "./errors.ts";

/** Messages validated one by one: the rules of the enclosing request do not include theirs. */
const ALONE: readonly DescMessage[] = [ImportedFactorSchema];

/** The path of the first field that broke its rule; what stands in a map's keys is the caller's, and left out. */
function fieldOf([first]: readonly Violation[]): Record<string, string> {
  const path = first?.field.flatMap((step) => ("name" in step ? [step.name] : [])).join(".");
  return path ? { field: path } : {};
}

function check(type: DescMessage, message: Message): void {
  const violations = violationsOf(type, message);
  if (violations.length === 0) return;
  const error = refusalToError(new Refusal("INVALID_FIELD", { metadata: fieldOf(violations) }));
  error.details.push({ desc: ViolationsSchema, value: violationsToProto([...violations])[0] });
  throw error;
}

async function* checked<T extends Message>(type: DescMessage, messages: AsyncIterable<T>): AsyncIterable<T> {
  for await (const message of messages) {
    check(type, message);
    yield message;
  }
}

/** Refuses requests that break the rules written on their fields, naming every violation. */
export const validation: Interceptor = (next) => async (request) => {
  if (request.stream) return next({ ...request, message: checked(request.method.input, request.message) });
  check(request.method.input, request.message);
  return next(request);
};

/**
 * Compiles the rules of request types, one a turn of the event loop: the first validation of a type costs a thousand
 * times the later ones, and the first of all some 300 ms.
 */
export async function warmUpValidation(methods: readonly DescMethod[]): Promise<void> {
  for (const type of [...methods.map(({ input }) => input), ...ALONE]) {
    compileRules(type);
    await setImmediate();
  }
}

import { setImmediate } from "node:timers/promises";
import { create, type DescMessage, type DescMethod, type Message } from "@bufbuild/protobuf";
import { createValidator, violationsToProto } from "@bufbuild/protovalidate";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Interceptor } from "@connectrpc/connect";
import { Refusal } from "../core/refusal.ts";
import { refusalToError } from "./errors.ts";

const validator = createValidator();

function check(type: DescMessage, message: Message): void {
  const result = validator.validate(type, message);
  if (result.kind === "error") throw result.error;
  if (result.kind === "invalid") {
    const error = refusalToError(new Refusal("INVALID_FIELD"));
    error.details.push({ desc: ViolationsSchema, value: violationsToProto(result.violations)[0] });
    throw error;
  }
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
  for (const { input } of methods) {
    validator.validate(input, create(input));
    await setImmediate();
  }
}

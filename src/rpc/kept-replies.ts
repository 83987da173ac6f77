import {
  clone,
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

const secrets = new Map<DescMessage, boolean>();

/** Whether a message can hold a field that must not be shown again: one that the contract marks `debug_redact`. */
function holdsSecret(message: DescMessage, above: ReadonlySet<DescMessage> = new Set()): boolean {
  const known = secrets.get(message);
  if (known !== undefined) return known;
  const seen = new Set([...above, message]);
  const found = message.fields.some(
    (field) =>
      field.proto.options?.debugRedact === true ||
      (field.message !== undefined && !seen.has(field.message) && holdsSecret(field.message, seen)),
  );
  // What was left out on the way down would be missing in the answer for the parts of a circle.
  if (above.size === 0) secrets.set(message, found);
  return found;
}

/** Whether a repeat of an RPC's request is answered by the reply to the first: where there is no secret in it. */
export const keepsReply = (method: DescMethod): boolean =>
  method.methodKind === "unary" && method.input.field.requestId !== undefined && !holdsSecret(method.output);

/** The id that a request carries, so that its retry happens once (AIP-155); empty for none. */
export const requestIdOf = (request: Message): string =>
  "requestId" in request && typeof request.requestId === "string" ? request.requestId : "";

/** The user that a request names; empty for none. */
export const namedUser = (request: Message): string =>
  "userId" in request && typeof request.userId === "string" ? request.userId : "";

/** Takes out of a message, at any depth, the ids of all users but its owner. */
function nameOnly(owner: string, message: ReflectMessage): void {
  for (const field of message.fields) {
    if (field.name === "user_id" && message.get(field) !== owner) message.clear(field);
    if (field.fieldKind === "message" && message.isSet(field)) nameOnly(owner, message.get(field));
    if (field.fieldKind !== "list" || field.listKind !== "message") continue;
    for (const item of message.get(field)) nameOnly(owner, item as ReflectMessage); // of messages, as its kind says
  }
}

/**
 * A reply as it is kept: naming nobody but the user with whom it is erased. Whoever else is erased must not stay named
 * in it.
 */
export function replyToBytes({ output }: DescMethod, reply: object, owner: string): Uint8Array {
  // Of its own: the reply itself is still to be sent.
  const kept = clone(output, create(output, reply as MessageInitShape<typeof output>));
  nameOnly(owner, reflect(output, kept));
  return toBinary(output, kept);
}

/** A kept reply as it is sent. Fields that a newer version added to it are sent along. */
export const replyFromBytes = ({ output }: DescMethod, bytes: Uint8Array): Message => fromBinary(output, bytes);

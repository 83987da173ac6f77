import {
  clone,
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  getOption,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { sensitive } from "../../gen/mfa/v1/options_pb.js";

const secrets = new Map<DescMessage, boolean>();

/** Whether a message can hold a field that the contract marks `(sensitive)`, which must not be shown again. */
function holdsSecret(message: DescMessage, above: ReadonlySet<DescMessage> = new Set()): boolean {
  const known = secrets.get(message);
  if (known !== undefined) return known;
  const seen = new Set([...above, message]);
  const found = message.fields.some(
    (field) =>
      getOption(field, sensitive) ||
      (field.message !== undefined && !seen.has(field.message) && holdsSecret(field.message, seen)),
  );
  // What was left out on the way down would be missing in the answer for the parts of a circle.
  if (above.size === 0) secrets.set(message, found);
  return found;
}

/** Whether an RPC's reply is stored for repeats: where it can hold no secret. */
export const keepsReply = (method: DescMethod): boolean =>
  method.methodKind === "unary" && method.input.field.requestId !== undefined && !holdsSecret(method.output);

/** Returns a request's `request_id` (AIP-155); empty for none. */
export const idempotencyKeyOf = (request: Message): string =>
  "requestId" in request && typeof request.requestId === "string" ? request.requestId : "";

/** Returns the user that a request names; empty for none. */
export const namedUser = (request: Message): string =>
  "userId" in request && typeof request.userId === "string" ? request.userId : "";

/** Removes from a message, at any depth, the ids of all users but its owner. */
function nameOnly(owner: string, message: ReflectMessage): void {
  for (const field of message.fields) {
    if (field.name === "user_id" && message.get(field) !== owner) message.clear(field);
    if (field.fieldKind === "message" && message.isSet(field)) nameOnly(owner, message.get(field));
    if (field.fieldKind !== "list" || field.listKind !== "message") continue;
    for (const item of message.get(field)) nameOnly(owner, item as ReflectMessage); // of messages, as its kind says
  }
}

/** Encodes a reply for storage without other users' ids, since it is erased with its owner only. */
export function replyToBytes({ output }: DescMethod, reply: object, owner: string): Uint8Array {
  // A copy, since the reply itself is still to be sent.
  const kept = clone(output, create(output, reply as MessageInitShape<typeof output>));
  nameOnly(owner, reflect(output, kept));
  return toBinary(output, kept);
}

/** Decodes a stored reply. Unknown fields of a newer version are passed on. */
export const replyFromBytes = ({ output }: DescMethod, bytes: Uint8Array): Message => fromBinary(output, bytes);

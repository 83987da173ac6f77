import { create, type DescMessage, type Message, toBinary } from "@bufbuild/protobuf";
import { createValidator, type Violation } from "@bufbuild/protovalidate";

/** Stops at the first violation, which for a text that is too long comes before any pattern is run on it. */
const first = createValidator({ failFast: true });
const every = createValidator();

/** A pattern takes some 0.5 ms a KiB: of longer messages only the first violation is named. */
const LONGEST_NAMED = 8 * 1024;

function violationsBy(validator: typeof every, type: DescMessage, message: Message): readonly Violation[] {
  const result = validator.validate(type, message);
  if (result.kind === "error") throw result.error;
  return result.kind === "invalid" ? result.violations : [];
}

/** How a message breaks the rules written on its fields, every violation; of a long message the first. */
export function violationsOf(type: DescMessage, message: Message): readonly Violation[] {
  const found = violationsBy(first, type, message);
  if (found.length === 0 || toBinary(type, message).length > LONGEST_NAMED) return found;
  return violationsBy(every, type, message);
}

/** Compiles the rules of a type, as its first validation costs a thousand times the later ones. */
export function compileRules(type: DescMessage): void {
  for (const validator of [first, every]) validator.validate(type, create(type));
}

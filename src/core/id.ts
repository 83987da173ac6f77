import { v7 } from "uuid";

/** A new row id: UUIDv7 (RFC 9562 §5.7), so that ids sort by creation. Not a secret; challenges and tickets need more. */
export const newId = (): string => v7();

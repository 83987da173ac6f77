/** A part of a frame: bytes, or text as UTF-8. */
export type FramedPart = string | Uint8Array;

/**
 * Joins parts so that no two different lists give the same bytes: each part follows its length. Without lengths
 * ("ab", "c") and ("a", "bc") would authenticate each other.
 */
export function frame(...parts: readonly FramedPart[]): Buffer {
  const pieces = parts.flatMap((part) => {
    const bytes = typeof part === "string" ? Buffer.from(part, "utf8") : part;
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(pieces);
}

/** Prefixes a value with the id of its key: one byte of length, the id, the value. */
export function tag(keyId: string, made: Uint8Array): Buffer {
  const id = Buffer.from(keyId, "utf8");
  return Buffer.concat([Uint8Array.of(id.length), id, made]);
}

/** Splits what `tag` joined; returns undefined when it is too short. */
export function untag(tagged: Uint8Array): { readonly keyId: string; readonly made: Buffer } | undefined {
  const bytes = Buffer.from(tagged.buffer, tagged.byteOffset, tagged.byteLength);
  const length = bytes[0];
  if (length === undefined || bytes.length < 1 + length) return undefined;
  return { keyId: bytes.toString("utf8", 1, 1 + length), made: bytes.subarray(1 + length) };
}

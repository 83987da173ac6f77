/**
 * Checks that the libraries leave out. A signature must have one encoding: a second accepted encoding could be
 * presented again under another digest. A public key of small order verifies messages that were never signed.
 */

/** Returns where a minimal, non-negative DER integer of at most 32 bytes ends; undefined for another one. */
function integerEnd(bytes: Uint8Array, start: number): number | undefined {
  const [tag, length = 0, first = 0, second = 0] = bytes.subarray(start, start + 4);
  const isSized = tag === 0x02 && length >= 1 && length <= 33;
  const isMinimal = first < 0x80 && (first !== 0 || length === 1 || second >= 0x80);
  return isSized && isMinimal ? start + 2 + length : undefined;
}

/** Whether a P-256 signature is exactly r and s in DER (RFC 3279 §2.2.3), without trailing bytes. */
export function isStrictDer(signature: Uint8Array): boolean {
  if (signature[0] !== 0x30 || signature[1] !== signature.length - 2) return false;
  const middle = integerEnd(signature, 2);
  return middle !== undefined && integerEnd(signature, middle) === signature.length;
}

/** The y coordinates of Ed25519's points of small order, little-endian, without the sign bit; non-canonical ones too. */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/**
 * Whether an Ed25519 public key (32 bytes, RFC 8032 §5.1.5) is a point of small order, by which any message verifies.
 */
export function isSmallOrder(publicKey: Uint8Array): boolean {
  if (publicKey.length === 0) return false;
  const y = Buffer.from(publicKey);
  const last = y.length - 1;
  y.writeUInt8(y.readUInt8(last) & 0x7f, last);
  return SMALL_ORDER.has(y.toString("hex"));
}

/** A place that a file is to have. */
export interface Located {
  readonly cidr: string;
  readonly country: string;
  /** English names, where the file has them. */
  readonly names?: { readonly city: string; readonly country: string };
  readonly point?: readonly [latitude: number, longitude: number];
}

const MARKER = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
const SEPARATOR = 16;

/** A field's type and size in front of its bytes (MaxMind DB format 2.0); sizes here are small. */
function field(type: number, size: number, bytes: Buffer): Buffer {
  const head = type > 7 ? [size, type - 7] : [(type << 5) | size];
  return Buffer.concat([Buffer.from(head), bytes]);
}

function encode(value: unknown): Buffer {
  if (typeof value === "string") return field(2, Buffer.byteLength(value), Buffer.from(value, "utf8"));
  if (typeof value === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return field(9, 8, bytes);
  }
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return field(3, 8, bytes);
  }
  if (Array.isArray(value)) return field(11, value.length, Buffer.concat(value.map(encode)));
  const entries = Object.entries(value as object);
  return field(7, entries.length, Buffer.concat(entries.flatMap(([key, inner]) => [encode(key), encode(inner)])));
}

/** A number as the metadata have it: of 16 or 32 bits. */
const uint = (type: 5 | 6, value: number) => {
  const bytes = Buffer.alloc(type === 5 ? 2 : 4);
  bytes.writeUIntBE(value, 0, bytes.length);
  return field(type, bytes.length, bytes);
};

type Node = [Node | number | undefined, Node | number | undefined];

/** A MaxMind database of some IPv4 networks, written after the specification and not by the library that reads it. */
export function locationsFile(places: readonly Located[]): Buffer {
  const data = places.map(({ country, names, point }) =>
    encode({
      country: { iso_code: country, ...(names && { names: { en: names.country } }) },
      ...(names && { city: { names: { en: names.city } } }),
      ...(point && { location: { latitude: point[0], longitude: point[1] } }),
    }),
  );
  const root: Node = [undefined, undefined];
  places.forEach(({ cidr }, n) => {
    const [address = "", length = ""] = cidr.split("/");
    const bits = address.split(".").flatMap((part) => [...Number(part).toString(2).padStart(8, "0")].map(Number));
    let node = root;
    for (const bit of bits.slice(0, Number(length) - 1)) {
      const next = node[bit] ?? [undefined, undefined];
      node[bit] = next;
      node = next as Node;
    }
    node[bits[Number(length) - 1] ?? 0] = n;
  });
  const nodes: Node[] = [root];
  for (let n = 0; n < nodes.length; n += 1) {
    for (const side of nodes[n] ?? []) if (Array.isArray(side)) nodes.push(side);
  }
  const offsets = data.map((_, n) => data.slice(0, n).reduce((sum, bytes) => sum + bytes.length, 0));
  const record = (side: Node | number | undefined) => {
    const bytes = Buffer.alloc(4);
    if (side === undefined) bytes.writeUInt32BE(nodes.length);
    else if (typeof side === "number") bytes.writeUInt32BE(nodes.length + SEPARATOR + (offsets[side] ?? 0));
    else bytes.writeUInt32BE(nodes.indexOf(side));
    return bytes;
  };
  const metadata = {
    node_count: uint(6, nodes.length),
    record_size: uint(5, 32),
    ip_version: uint(5, 4),
    database_type: encode("Test-City"),
    languages: encode(["en"]),
    binary_format_major_version: uint(5, 2),
    binary_format_minor_version: uint(5, 0),
    build_epoch: encode(1_770_000_000n),
    description: encode({ en: "for tests" }),
  };
  const pairs = Object.entries(metadata).flatMap(([key, value]) => [encode(key), value]);
  return Buffer.concat([
    ...nodes.flatMap((node) => node.map(record)),
    Buffer.alloc(SEPARATOR),
    ...data,
    MARKER,
    field(7, Object.keys(metadata).length, Buffer.concat(pairs)),
  ]);
}

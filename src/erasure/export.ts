import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type AuditEntryRow, auditEntryRepository } from "../audit/audit-entries.repository.ts";
import { auditSubjectRepository } from "../audit/audit-subjects.repository.ts";
import { recordAudit } from "../audit/changes.ts";
import { named } from "../audit/trail.ts";
import type { Call } from "../core/call.ts";
import { createTurnTaking } from "../core/turn-taking.ts";
import type { Owner } from "../db/store.ts";
import type { SubjectTable } from "./subject-data.repository.ts";

/** What exporting needs. */
export interface ExportOptions {
  /** Every table with rows about users. */
  readonly tables: readonly SubjectTable[];
  /** The whole number or address of a row of `otp_addresses`. Outside of units. */
  readonly addressOf: (row: Record<string, unknown>) => Promise<string>;
}

/** The most rows of one table in a reply; the reply says where there are more. */
const LIMIT = 1_000;
/**
 * Of all tables together, as JSON, with what encoding costs beside the bytes. A message is encoded in one turn of the event
 * loop, and this much takes half of what a turn may; gRPC clients would take 4 MiB.
 */
const MOST_BYTES = 1024 * 1024;
/** A value of a few bytes takes as long to encode as a text of so many. */
const COST_OF_VALUE = 64;

/**
 * Part of a code; what leads from the trail to its user after they were erased; ids that are known to their parties only.
 * Digests and bytes are withheld anyway.
 */
const WITHHELD: ReadonlySet<string> = new Set([
  ...[
    "selector",
    "pseudonym",
    "challenge_id",
    "ceremony_id",
    "push_id",
    "assertion_id",
    "nonce",
    "lease_id",
    "block",
    "bound_mac",
  ],
]);

const isPlain = (value: unknown) => value === null || ["string", "number", "boolean"].includes(typeof value);

const toJson = (value: unknown): JsonValue =>
  isPlain(value) ? (value as JsonValue) : JSON.parse(JSON.stringify(value ?? null));

interface Seen {
  readonly time: number;
}

/** What stands in the place of the digests that a column of JSON holds: of devices and networks, the times alone. */
const REDUCED: Readonly<Record<string, (value: JsonObject) => JsonValue>> = {
  history: ({ devices, networks, ...rest }) => {
    const timesOf = (seen: JsonValue | undefined) => (seen as unknown as readonly Seen[]).map(({ time }) => ({ time })); // of a history, as `risk_histories` has it
    return { ...rest, devices: timesOf(devices), networks: timesOf(networks) };
  },
  look: ({ place }) => ({ place: place ?? null }),
};

const readable = (name: string, value: JsonValue): JsonValue =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (REDUCED[name]?.(value) ?? value) : value;

/** A row under its columns' names. Everything in bytes is a secret, a digest or a seal. */
const rowToJson = ({ columns }: SubjectTable, row: Record<string, unknown>): JsonObject =>
  Object.fromEntries(
    columns
      .filter(({ key, name }) => !WITHHELD.has(name) && !name.endsWith("_digest") && !(row[key] instanceof Uint8Array))
      .map(({ key, name }) => [name, readable(name, toJson(row[key]))]),
  );

/** The values of a row, also those within others. */
const valuesIn = (json: JsonValue): number =>
  typeof json === "object" && json !== null
    ? Object.values(json).reduce<number>((sum, one) => sum + valuesIn(one), 1)
    : 1;

/** A row as it is shown, and the bytes that it takes, with the cost of its values. */
interface Shown {
  readonly json: JsonObject;
  readonly bytes: number;
}

/** How many of the rows stay within so many bytes, and how many those take. */
function within(rows: readonly Shown[], most: number) {
  let [count, bytes] = [0, 0];
  for (const row of rows) {
    if (bytes + row.bytes > most) break;
    count += 1;
    bytes += row.bytes;
  }
  return { count, bytes };
}

/** Cuts what is long, so that all together can be sent: small tables stay whole, the others share what those leave. */
function shorten(tables: ReadonlyMap<string, readonly Shown[]>): Map<string, readonly JsonObject[]> {
  const sizes = [...tables].map(([name, rows]) => ({ name, rows, ...within(rows, Number.POSITIVE_INFINITY) }));
  const kept = new Map<string, number>();
  let left = MOST_BYTES;
  for (const [n, { name, rows }] of sizes.toSorted((a, b) => a.bytes - b.bytes).entries()) {
    const { count, bytes } = within(rows.slice(0, LIMIT), left / (sizes.length - n));
    kept.set(name, count);
    left -= bytes;
  }
  return new Map([...tables].map(([name, rows]) => [name, rows.slice(0, kept.get(name)).map(({ json }) => json)]));
}

/** Shows rows one by one, so that nobody waits for all of a heavy user's. */
async function show<Row>(rows: readonly Row[], rowToShow: (row: Row) => JsonObject): Promise<readonly Shown[]> {
  const takeTurn = createTurnTaking();
  const shown: Shown[] = [];
  for (const row of rows) {
    await takeTurn();
    const json = rowToShow(row);
    shown.push({ json, bytes: Buffer.byteLength(JSON.stringify(json)) + COST_OF_VALUE * valuesIn(json) });
  }
  return shown;
}

const snake = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const entryToJson = ({ sealedIp: _, hash: __, ...entry }: AuditEntryRow): JsonObject =>
  Object.fromEntries(Object.entries(entry).map(([key, value]) => [snake(key), toJson(value)]));

/** Collects everything that is held about a user, by table, without secrets, and writes down that somebody did. */
export function createExport({ tables, addressOf }: ExportOptions) {
  return async (call: Call, owner: Owner, reason: string): Promise<JsonObject> => {
    const all = new Map<string, readonly Shown[]>();
    let addresses: Record<string, unknown>[] = [];
    // Beside the writers, and a unit for each table: it may be much.
    for (const table of tables) {
      const rows = await call.read((tx) => table.list(tx, owner, LIMIT + 1));
      if (table.name === "otp_addresses") addresses = rows;
      all.set(table.name, await show(rows, (row) => rowToJson(table, row)));
    }
    const subject = await call.read((tx) => auditSubjectRepository(tx).find(owner));
    if (subject) {
      const { tenantId, pseudonym } = subject;
      const entries = await call.read((tx) => auditEntryRepository(tx).listOf(tenantId, pseudonym, LIMIT + 1));
      all.set("audit_entries", await show(entries, (entry) => entryToJson(named({ entry, subject }))));
    }
    await call.unit((tx) => recordAudit(tx, call, { owner, action: "user.exported", targetId: owner.userId, reason }));
    const shown = shorten(all);
    const data: JsonObject = {};
    for (const [name, rows] of shown) if (rows.length > 0) data[name] = [...rows];
    if (addresses.length > 0) data.addresses = await Promise.all(addresses.map(addressOf));
    const cut = [...all].filter(([name, rows]) => rows.length > (shown.get(name)?.length ?? 0)).map(([name]) => name);
    if (cut.length > 0) data.truncated = cut;
    return data;
  };
}

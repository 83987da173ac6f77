import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type AuditEntryRow, auditEntryRepository } from "../audit/audit-entries.repository.ts";
import { auditSubjectRepository } from "../audit/audit-subjects.repository.ts";
import { recordAudit } from "../audit/changes.ts";
import { named } from "../audit/trail.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { SubjectTable } from "./subject-data.repository.ts";

/** What exporting needs. */
export interface ExportOptions {
  /** Every table with rows about users. */
  readonly tables: readonly SubjectTable[];
  /** The whole number or address of a row of `otp_addresses`. Outside of units. */
  readonly addressOf: (row: Record<string, unknown>) => Promise<string>;
}

/** Rows of one table that a reply holds: whoever has more of them is told so. */
const LIMIT = 2_000;
/** Of all tables together, as JSON: gRPC clients take 4 MiB in one message, and its form there is up to half as long again. */
const MOST_BYTES = 2.5 * 1024 * 1024;

/**
 * Part of a code; what leads from the trail to its user after they were erased; ids that are known to their parties only.
 * Bytes are withheld anyway.
 */
const WITHHELD: ReadonlySet<string> = new Set([
  ...["selector", "pseudonym", "challenge_id", "ceremony_id", "push_id", "assertion_id", "nonce", "lease_id", "block"],
]);

const toJson = (value: unknown): JsonValue => JSON.parse(JSON.stringify(value ?? null));

/** A row under its columns' names. Everything in bytes is a secret, a digest or a seal. */
const rowToJson = ({ columns }: SubjectTable, row: Record<string, unknown>): JsonObject =>
  Object.fromEntries(
    columns
      .filter(({ key, name }) => !WITHHELD.has(name) && !(row[key] instanceof Uint8Array))
      .map(({ key, name }) => [name, toJson(row[key])]),
  );

/** How many of the rows stay within so many bytes, and how many those take. */
function within(rows: readonly JsonObject[], most: number) {
  let [count, bytes] = [0, 0];
  for (const row of rows) {
    const length = Buffer.byteLength(JSON.stringify(row));
    if (bytes + length > most) break;
    count += 1;
    bytes += length;
  }
  return { count, bytes };
}

/** Cuts what is long, so that all together can be sent: small tables stay whole, the others share what those leave. */
function shorten(tables: ReadonlyMap<string, readonly JsonObject[]>): Map<string, readonly JsonObject[]> {
  const sizes = [...tables].map(([name, rows]) => ({ name, rows, ...within(rows, Number.POSITIVE_INFINITY) }));
  const shortened = new Map(tables);
  let left = MOST_BYTES;
  for (const [n, { name, rows }] of sizes.toSorted((a, b) => a.bytes - b.bytes).entries()) {
    const kept = within(rows.slice(0, LIMIT), left / (sizes.length - n));
    shortened.set(name, rows.slice(0, kept.count));
    left -= kept.bytes;
  }
  return shortened;
}

const snake = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const entryToJson = ({ sealedIp: _, hash: __, ...entry }: AuditEntryRow): JsonObject =>
  Object.fromEntries(Object.entries(entry).map(([key, value]) => [snake(key), toJson(value)]));

/** Collects everything that is held about a user, by table, without secrets, and writes down that somebody did. */
export function createExport({ tables, addressOf }: ExportOptions) {
  return async (call: Call, owner: Owner, reason: string): Promise<JsonObject> => {
    // Beside the writers: it may be much.
    const { found, entries } = await call.read(async (tx) => {
      const found: { table: SubjectTable; rows: Record<string, unknown>[] }[] = [];
      for (const table of tables) found.push({ table, rows: await table.list(tx, owner, LIMIT + 1) });
      const subject = await auditSubjectRepository(tx).find(owner);
      const own = subject ? await auditEntryRepository(tx).listOf(owner.tenantId, subject.pseudonym, LIMIT + 1) : [];
      const entries = subject ? own.map((entry) => named({ entry, subject })) : [];
      return { found, entries };
    });
    await call.unit((tx) => recordAudit(tx, call, { owner, action: "user.exported", targetId: owner.userId, reason }));
    const own = found.map(({ table, rows }) => [table.name, rows.map((row) => rowToJson(table, row))] as const);
    const all = new Map<string, readonly JsonObject[]>([...own, ["audit_entries", entries.map(entryToJson)]]);
    const shown = shorten(all);
    const data: JsonObject = {};
    for (const [name, rows] of shown) if (rows.length > 0) data[name] = [...rows];
    const addresses = found.find(({ table }) => table.name === "otp_addresses")?.rows ?? [];
    if (addresses.length > 0) data.addresses = await Promise.all(addresses.map(addressOf));
    const cut = [...all].filter(([name, rows]) => rows.length > (shown.get(name)?.length ?? 0)).map(([name]) => name);
    if (cut.length > 0) data.truncated = cut;
    return data;
  };
}

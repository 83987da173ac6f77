import { randomBytes } from "node:crypto";
import { getTableColumns, getTableName } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { describe, expect, test } from "vitest";
import { type Dialect, dialects } from "../../src/db/dialect.ts";
import { type Building, type Store, statement } from "../../src/db/store.ts";
import { backupCodeSets, backupCodes } from "../../src/factors/backup-codes/backup-codes.table.ts";
import { pushDevices } from "../../src/factors/push/push.table.ts";
import { outboxMessages } from "../../src/outbox/outbox.table.ts";
import { attempts } from "../../src/protection/attempts.table.ts";
import { retention } from "../../src/retention.ts";
import { applyRetention, BATCH, type RetentionRule } from "../../src/schedule/retention.ts";
import { webhookEndpoints } from "../../src/webhooks/webhook-endpoints.table.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

type Define = (d: Dialect) => PgTable;
type Row = Record<string, unknown>;

const NOON = new Date("2026-03-01T12:00:00.000Z");
const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;
const ago = (ms: number) => new Date(NOON.getTime() - ms);
const every: readonly RetentionRule[] = Object.values(retention).flat();

let made = 0;

/** A value that fits a column, another one each time where it is a text or bytes. */
function anyValue(type: string): unknown {
  made += 1;
  if (type === "string") return `x${made}`;
  if (type === "number") return made;
  if (type === "boolean") return false;
  if (type === "date") return NOON;
  return type === "json" ? [] : randomBytes(16);
}

/** A row that the table takes, and what the test wants in it. */
const rowOf = (define: Define, wanted: Row): Row => ({
  ...Object.fromEntries(
    Object.entries(getTableColumns(define(dialects.sqlite))).map(([name, column]) => [
      name,
      column.notNull ? anyValue(column.columnType === "SQLiteTextJson" ? "json" : column.dataType) : null,
    ]),
  ),
  ...wanted,
});

async function insert(store: Store, define: Define, rows: readonly Row[]): Promise<void> {
  const add = statement((s: Building<Row>) => {
    const t = s.table(define);
    return s.db.insert(t).values(s.row(t)).returning() as PromiseLike<Row[]>;
  });
  await store.write(async (tx) => {
    for (const row of rows) await tx.run(add, row);
  });
}

function read(store: Store, define: Define): Promise<Row[]> {
  const select = statement((s: Building<Record<never, never>>) => s.db.select().from(s.table(define)));
  return store.read((tx) => tx.run(select, {})) as Promise<Row[]>;
}

/** The instants of a table that a sweep of it could go by. */
const instantsOf = (define: Define) =>
  Object.entries(getTableColumns(define(dialects.postgres)))
    .filter(([, { dataType }]) => dataType === "date")
    .map(([name]) => name);

describe.each(engines)("what has ended on $name", (engine) => {
  test("is forgotten when its time is over, and not a millisecond before, in each table", async () => {
    const { store } = await openForTest(engine);
    for (const end of every) {
      const define = end.table as Define;
      const name = getTableName(define(dialects.sqlite));
      const just = new Date(NOON.getTime() - end.keptMs);
      const at = (time: Date) => Object.fromEntries(instantsOf(define).map((column) => [column, time]));
      // What a sweep asks for besides: rows that count nothing, or are done.
      const over = { state: "revoked", failures: 0, consecutiveFailures: 0 };
      const columns = Object.keys(getTableColumns(define(dialects.sqlite)));
      const isOver = Object.fromEntries(Object.entries(over).filter(([column]) => columns.includes(column)));
      await insert(store, define, [
        rowOf(define, { ...isOver, ...at(just) }),
        rowOf(define, { ...isOver, ...at(new Date(just.getTime() + 1)) }),
      ]);
      expect(await applyRetention(store, [end], NOON), name).toBe(1);
      expect(await applyRetention(store, [end], NOON), name).toBe(0);
      expect(await applyRetention(store, [end], new Date(NOON.getTime() + 1)), name).toBe(1);
    }
  });

  test("is forgotten in units of a bounded size, however much there is", async () => {
    const { store } = await openForTest(engine);
    const [end] = retention.trusted_devices;
    const define = end.table as Define;
    await insert(
      store,
      define,
      Array.from({ length: 2 * BATCH + 10 }, () => rowOf(define, { expireTime: ago(1) })),
    );
    let units = 0;
    const counted: Store = { ...store, write: (work) => store.write((tx) => work(tx)).finally(() => (units += 1)) };
    expect(await applyRetention(counted, [end], NOON)).toBe(2 * BATCH + 10);
    expect(units).toBe(3);
  });

  test("is never a factor in use, a locked user, a message that waits, or what has no end", async () => {
    const { store } = await openForTest(engine);
    const zero = { failures: 0, consecutiveFailures: 0 };
    const kept: [Define, Row][] = [
      // Its instants are long past; only its end counts, and it has none.
      ...every
        .map(({ table }) => table as Define)
        .filter((define) =>
          Object.entries(getTableColumns(define(dialects.sqlite))).some(
            ([name, { notNull }]) => name === "expireTime" && !notNull,
          ),
        )
        .map((define): [Define, Row] => [
          define,
          { createTime: ago(999 * DAY), updateTime: ago(999 * DAY), state: "active" },
        ]),
      [outboxMessages as Define, { state: "queued", updateTime: ago(999 * DAY), expireTime: ago(999 * DAY) }],
      [attempts as Define, { ...zero, failures: 1, updateTime: ago(999 * DAY) }],
      [attempts as Define, { ...zero, consecutiveFailures: 99, updateTime: ago(999 * DAY) }],
      [attempts as Define, { ...zero, updateTime: ago(999 * DAY), lockExpireTime: ago(-DAY) }],
      [attempts as Define, { ...zero, updateTime: ago(999 * DAY), lockTime: ago(DAY) }],
    ];
    for (const [define, wanted] of kept) await insert(store, define, [rowOf(define, wanted)]);
    expect(await applyRetention(store, every, NOON)).toBe(0);
    expect(await read(store, pushDevices as Define)).toHaveLength(2);
  });

  test("takes along the codes of a set that nobody saved, and no other set's", async () => {
    const { store } = await openForTest(engine);
    const ann = { tenantId: "dev", userId: "ann" };
    const sets = backupCodeSets as Define;
    const codes = backupCodes as Define;
    await insert(store, sets, [
      rowOf(sets, { ...ann, setId: "old", state: "pending", expireTime: ago(2 * HOUR) }),
      rowOf(sets, { ...ann, setId: "good", state: "active", expireTime: null }),
    ]);
    await insert(
      store,
      codes,
      ["old", "old", "good"].map((setId) => rowOf(codes, { ...ann, setId })),
    );
    expect(await applyRetention(store, retention.expired_rows, NOON)).toBe(1);
    expect((await read(store, codes)).map(({ setId }) => setId)).toEqual(["good"]);
    expect((await read(store, sets)).map(({ setId }) => setId)).toEqual(["good"]);
  });

  test("is of a webhook its former secret, and nothing else", async () => {
    const { store } = await openForTest(engine);
    const define = webhookEndpoints as Define;
    const secrets = { sealedSecret: Buffer.from("new"), sealedOldSecret: Buffer.from("old") };
    await insert(store, define, [
      rowOf(define, { ...secrets, endpointId: "a", oldSecretExpireTime: NOON }),
      rowOf(define, { ...secrets, endpointId: "b", oldSecretExpireTime: ago(-1) }),
    ]);
    expect(await applyRetention(store, retention.old_records, NOON)).toBe(1);
    const rows = (await read(store, define)).sort((x, y) => String(x.endpointId).localeCompare(String(y.endpointId)));
    expect(rows).toMatchObject([
      { endpointId: "a", sealedSecret: Buffer.from("new"), sealedOldSecret: null, oldSecretExpireTime: null },
      { endpointId: "b", sealedOldSecret: Buffer.from("old") },
    ]);
  });
});

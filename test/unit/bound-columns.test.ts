// Row by row and edit by edit: what somebody gains who writes to the database, for every table of the schema.
import { createHmac } from "node:crypto";
import { getTableColumns, getTableName } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { type Binding, bindings, macOfRow, type RowMacs } from "../../src/db/bound-rows.ts";
import { dialects } from "../../src/db/dialect.ts";
import { tables } from "../../src/schema.ts";

/** The tables whose rows are not bound by `bindRows`, each with what stands in its place or what is gained. */
const UNBOUND: Readonly<Record<string, string>> = {
  installation: "the mode and the id of the installation: the start compares them with its own",
  key_checks: "fingerprints of the keys: an altered one stops the start",
  data_keys: "wrapped by the operator's keys: an altered one opens nothing",
  users: "epochs and cool-downs: an earlier state of the row",
  budgets: "counts of sending: fewer are the row's earlier state",
  request_ids: "what a repeated call is told: the caller is lied to, and gains no right",
  audit_heads: "have a MAC of their own",
  audit_entries: "are hashed with a key, each over the one before",
  audit_checkpoints: "are signed tokens",
  event_streams: "the places of events: nothing is granted by one",
  events: "what backends and webhooks are told: nothing is granted by one",
  send_decisions: "statistics",
  backup_code_sets: "counts of codes, whose digests are bound to their set",
  backup_codes: "digests under a pepper, over owner and set",
  webauthn_users: "handles and shown names: another handle finds no passkey",
  webauthn_credentials: "have a MAC of their own",
  risk_policy_versions: "a history that is shown",
  assertion_keys: "what is published is worked out from the sealed private halves",
  synced_devices: "shown to backends: nothing is granted by one",
  synced_blobs: "encrypted by the app with a key that never comes here",
  push_blocks: "without one, requests come again: nothing is granted by one",
  vapid_keys: "sealed for their row",
  scheduled_tasks: "when tasks are due: earlier, later or never",
  task_runs: "a history that is shown",
  tombstones: "the ledger of erasures puts those back that are missing",
};

/** Values of each type of column, of which none is a default of every other. */
const samples: Readonly<Record<string, readonly unknown[]>> = {
  string: ["one", "other"],
  number: [31, 32],
  boolean: [true, false],
  date: [new Date(1), new Date(2)],
  json: [{ a: 1 }, { a: 2 }],
  custom: [Buffer.from("one"), Buffer.from("other")],
};

const key = "a key that the database does not hold";
const macOf = (...parts: readonly string[]) => createHmac("sha256", key).update(JSON.stringify(parts)).digest();
const macs: RowMacs = {
  mac: macOf,
  verifies: (mac, ...parts) => macOf(...parts).equals(mac),
};

const columnsOf = ({ define }: Binding) => getTableColumns(define(dialects.sqlite));
const sampleOf = (binding: Binding, name: string, n: number) => samples[columnsOf(binding)[name]?.dataType ?? ""]?.[n];
const rowOf = (binding: Binding) =>
  Object.fromEntries(Object.keys(columnsOf(binding)).map((name) => [name, sampleOf(binding, name, 0)]));

test("every table of the schema is bound, or says what stands in its place", () => {
  const bound = new Set(bindings().map(({ table }) => table));
  const unbound = tables.map((define) => getTableName(define(dialects.sqlite))).filter((name) => !bound.has(name));
  expect(unbound.sort()).toEqual(Object.keys(UNBOUND).sort());
});

describe.each(bindings().map((binding) => ({ binding, table: binding.table })))("a row of $table", ({ binding }) => {
  test("is no more the service's once any column that grants something is altered, emptied or moved", () => {
    const row = rowOf(binding);
    const mac = macOfRow(macs, binding, row);
    expect(binding.columns.length).toBeGreaterThan(0);
    for (const name of binding.columns) {
      for (const value of [sampleOf(binding, name, 1), null]) {
        expect(macOfRow(macs, binding, { ...row, [name]: value }).equals(mac), `${name}: ${value}`).toBe(false);
      }
    }
    expect(macOfRow(macs, { ...binding, table: "another_table" }, row).equals(mac)).toBe(false);
  });

  test("names its key and its owner under the MAC, so that it is good in its place only", () => {
    const names = Object.keys(columnsOf(binding));
    for (const name of ["tenantId", "userId"].filter((owner) => names.includes(owner))) {
      expect(binding.columns, name).toContain(name);
    }
  });

  test("says of each other column what is gained by it", () => {
    const said = [...binding.columns, ...Object.keys(binding.free), "boundMac"].sort();
    expect(said).toEqual(Object.keys(columnsOf(binding)).sort());
    for (const [name, gain] of Object.entries(binding.free)) expect(gain, name).toMatch(/\w+/);
  });
});

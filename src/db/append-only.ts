import type { Engine } from "./dialect.ts";

/** The highest sequence number that an audit chain is taken to have come to: behind it there is room to count on. */
export const HIGHEST_SEQUENCE = 2 ** 52;

/** A trigger by which the database refuses what the service never does. */
export interface TableTrigger {
  /** Immutable under its name. To change a trigger, rename it and add the former name to `retired`. */
  readonly name: string;
  readonly table: string;
  readonly create: string;
}

/** The text of the database's error. */
const REFUSAL = "the audit trail is only added to";

/** Retention may delete entries up to the tenant's floor, which it has raised and signed. */
const BELOW_FLOOR = `EXISTS (SELECT 1 FROM audit_heads AS h
  WHERE h.tenant_id = OLD.tenant_id AND OLD.sequence <= h.floor_sequence)`;

/** Only a head that the service cannot have come to is put back, by a repair. */
const GOES_BACK = `(NEW.sequence < OLD.sequence AND OLD.sequence BETWEEN 0 AND ${HIGHEST_SEQUENCE})
  OR NEW.floor_sequence < OLD.floor_sequence`;

const onSqlite = (name: string, table: string, event: string, when = "1"): TableTrigger => ({
  name,
  table,
  create: `CREATE TRIGGER ${name} BEFORE ${event} ON ${table} WHEN ${when}
    BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
});

const sqlite: readonly TableTrigger[] = [
  onSqlite("audit_entries_no_update_v1", "audit_entries", "UPDATE"),
  onSqlite("audit_entries_no_delete_v1", "audit_entries", "DELETE", `NOT ${BELOW_FLOOR}`),
  // INSERT OR REPLACE deletes without asking the triggers of DELETE.
  onSqlite(
    "audit_entries_no_replace_v1",
    "audit_entries",
    "INSERT",
    `EXISTS (SELECT 1 FROM audit_entries AS e WHERE e.tenant_id = NEW.tenant_id
      AND (e.entry_id = NEW.entry_id OR e.sequence = NEW.sequence))`,
  ),
  onSqlite("audit_heads_no_return_v2", "audit_heads", "UPDATE", GOES_BACK),
  onSqlite("audit_heads_no_delete_v1", "audit_heads", "DELETE"),
  onSqlite("audit_checkpoints_no_update_v1", "audit_checkpoints", "UPDATE"),
  onSqlite("audit_checkpoints_no_delete_v1", "audit_checkpoints", "DELETE"),
];

const onPostgres = (name: string, table: string, events: string, unless = "FALSE"): TableTrigger => ({
  name,
  table,
  create: `CREATE OR REPLACE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $guard$
    BEGIN
      IF ${unless} THEN RETURN COALESCE(NEW, OLD); END IF;
      RAISE EXCEPTION '${REFUSAL}';
    END $guard$;
    CREATE TRIGGER ${name} BEFORE ${events} ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
});

const noTruncate = (table: string): TableTrigger => ({
  name: `${table}_no_truncate_v1`,
  table,
  create: `CREATE OR REPLACE FUNCTION ${table}_no_truncate_v1() RETURNS trigger LANGUAGE plpgsql AS $guard$
    BEGIN RAISE EXCEPTION '${REFUSAL}'; END $guard$;
    CREATE TRIGGER ${table}_no_truncate_v1 BEFORE TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION ${table}_no_truncate_v1()`,
});

const postgres: readonly TableTrigger[] = [
  onPostgres("audit_entries_no_update_v1", "audit_entries", "UPDATE"),
  onPostgres("audit_entries_no_delete_v1", "audit_entries", "DELETE", BELOW_FLOOR),
  onPostgres("audit_heads_no_return_v2", "audit_heads", "UPDATE", `NOT (${GOES_BACK})`),
  onPostgres("audit_heads_no_delete_v1", "audit_heads", "DELETE"),
  onPostgres("audit_checkpoints_no_change_v1", "audit_checkpoints", "UPDATE OR DELETE"),
  noTruncate("audit_entries"),
  noTruncate("audit_heads"),
  noTruncate("audit_checkpoints"),
];

/**
 * The guards of the audit trail. Not part of the migrations, which are generated and know no triggers: a start takes
 * them down before it migrates, so that no migration meets them, and puts them up again in the same transaction.
 */
export const guards: Readonly<Record<Engine, readonly TableTrigger[]>> = { sqlite, postgres };

/** Triggers of former versions, by name and table: each start takes down those that it finds. */
export const retired: readonly Pick<TableTrigger, "name" | "table">[] = [
  { name: "audit_heads_no_return_v1", table: "audit_heads" },
];

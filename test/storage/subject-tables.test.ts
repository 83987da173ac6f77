import { getTableColumns, getTableName } from "drizzle-orm";
import { expect, test } from "vitest";
import { dialects } from "../../src/db/dialect.ts";
import { PSEUDONYMOUS, subjectTables } from "../../src/erasure/subject-data.repository.ts";
import { tables } from "../../src/schema.ts";

const all = tables.map((define) => define(dialects.sqlite));
const columnsOf = (table: (typeof all)[number]) => Object.values(getTableColumns(table)).map(({ name }) => name);

test("every table with a user is erased and exported, but for the trail, whose users are pseudonyms", () => {
  const withUsers = all.filter((table) => columnsOf(table).includes("user_id")).map(getTableName);
  const found = subjectTables(tables).map(({ name }) => name);
  expect([...found, ...PSEUDONYMOUS].sort()).toEqual(withUsers.sort());
  expect(PSEUDONYMOUS).toEqual(["audit_entries"]);
});

test("every column that could name a user in another way is known, with the reason why it need not be erased", () => {
  const names = all.flatMap((table) =>
    columnsOf(table)
      .filter((column) =>
        /user|subject|owner|(?<!f)actor|person|email|phone|requester|decider|issuer_id|_by$/.test(column),
      )
      .filter((column) => column !== "user_id")
      .map((column) => `${getTableName(table)}.${column}`),
  );
  expect(names.sort()).toEqual(
    [
      // Administrators and backends, who answer for what they did; of users the pseudonym.
      "audit_entries.actor_id",
      "audit_entries.actor_type",
      // In rows that go with their user.
      ...["approvals.decider_id", "approvals.requester_id", "challenges.created_by", "events.actor_id"],
      ...["events.actor_type", "events.user_agent", "prompts.user_agent", "push_challenges.created_by"],
      ...[
        "request_ids.subject",
        "temporary_passes.issuer_id",
        "trusted_devices.user_agent",
        "risk_decisions.requested_by",
      ],
      ...[
        "webauthn_ceremonies.user_name",
        "webauthn_ceremonies.user_verification",
        "webauthn_credentials.user_verified",
      ],
      ...["webauthn_users.user_handle", "webauthn_users.user_name"],
      // An instance of the service.
      "scheduled_tasks.lease_owner",
      // A digest that only the operator's keys can make.
      "tombstones.user_digest",
    ].sort(),
  );
});

test("no table lets a user stand beside a tenant that is not a column of its own", () => {
  const without = all.filter(
    (table) => columnsOf(table).includes("user_id") && !columnsOf(table).includes("tenant_id"),
  );
  expect(without.map(getTableName)).toEqual([]);
});

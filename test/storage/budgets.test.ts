import { describe, expect, test } from "vitest";
import { budgetRepository } from "../../src/factors/otp/budgets.repository.ts";
import { boundForTest, engines } from "../support/engine/engines.ts";

const now = new Date("2026-03-01T12:00:00.000Z");
const mine = { tenantId: "dev", userId: "ann", budget: "user", key: "" };

describe.each(engines)("what was drawn from a budget on $name", (engine) => {
  test.each([
    ["another tenant", { tenantId: "other" }],
    ["another user", { userId: "bob" }],
    ["another budget", { budget: "address" }],
    ["another thing", { key: "+49" }],
  ])("is nothing that was drawn from that of %s", async (_, other) => {
    const store = await boundForTest(engine);
    const write = <T>(work: (rows: ReturnType<typeof budgetRepository>) => Promise<T>) =>
      store.write((tx) => work(budgetRepository(tx)));
    const slices = [{ time: now.getTime(), count: 3 }] as never;
    await write((rows) => rows.touch(mine, now));
    await write((rows) => rows.touch({ ...mine, ...other }, now));
    await write((rows) => rows.update(mine, slices));
    expect(await write((rows) => rows.touch(mine, now))).toEqual(slices);
    expect(await write((rows) => rows.touch({ ...mine, ...other }, now))).toEqual([]);
  });
});

import { describe, expect, test } from "vitest";
import { createTenantCache } from "../../src/core/tenant-cache.ts";
import { StoreUnavailable } from "../../src/db/store.ts";

describe("what is kept of a tenant for a second", () => {
  /** Texts whose loads the test counts and answers. */
  function recent() {
    const clock = { now: 1_000_000 };
    const loads: { tenantId: string; answer(text: string): void; fail(): void }[] = [];
    const { of, forget } = createTenantCache<string>(
      (tenantId) =>
        new Promise((answer, reject) => {
          loads.push({ tenantId, answer, fail: () => reject(new StoreUnavailable()) });
        }),
      () => new Date(clock.now),
    );
    return { clock, loads, of, forget };
  }

  test("many who ask at once share one read, each tenant its own", async () => {
    const { loads, of } = recent();
    const asked = ["a", "b", "a", "a", "b"].map(of);
    expect(loads.map(({ tenantId }) => tenantId)).toEqual(["a", "b"]);
    for (const { tenantId, answer } of loads) answer(tenantId);
    expect(await Promise.all(asked)).toEqual(["a", "b", "a", "a", "b"]);
  });

  test("the second counts from when the read began, however late it was answered", async () => {
    const { clock, loads, of } = recent();
    const first = of("a");
    clock.now += 900;
    loads[0]?.answer("old");
    expect(await first).toBe("old");
    clock.now += 100;
    const second = of("a");
    loads[1]?.answer("new");
    expect(await second).toBe("new");
  });

  test("a read that began before a change is not what the next call gets", async () => {
    const { loads, of, forget } = recent();
    const before = of("a");
    forget("a");
    const after = of("a");
    loads[1]?.answer("new");
    loads[0]?.answer("old");
    expect(await Promise.all([before, after, of("a")])).toEqual(["old", "new", "new"]);
  });

  test("a failed read is not kept, and does not take a later one along", async () => {
    const { clock, loads, of } = recent();
    const failed = of("a");
    clock.now += 1000;
    const later = of("a");
    loads[0]?.fail();
    await expect(failed).rejects.toThrow(StoreUnavailable);
    loads[1]?.answer("new");
    expect([await later, await of("a"), loads.length]).toEqual(["new", "new", 2]);
    clock.now += 1000;
    const again = of("a");
    loads[2]?.fail();
    await expect(again).rejects.toThrow(StoreUnavailable);
    const healed = of("a");
    loads[3]?.answer("healed");
    expect(await healed).toBe("healed");
  });

  test("a clock that is set back makes nothing last longer", async () => {
    const { clock, loads, of } = recent();
    void of("a");
    clock.now -= 1;
    void of("a");
    expect(loads).toHaveLength(2);
  });

  test("a thousand tenants are kept, the oldest gives way to one more", async () => {
    const { loads, of } = recent();
    for (let n = 0; n <= 1000; n++) void of(`tenant ${n}`);
    void of("tenant 1");
    void of("tenant 1000");
    expect(loads).toHaveLength(1001);
    void of("tenant 0");
    expect(loads).toHaveLength(1002);
  });
});

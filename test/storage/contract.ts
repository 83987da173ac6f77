import { AsyncLocalStorage } from "node:async_hooks";
import { beforeEach, expect, it } from "vitest";
import { anyRow } from "../../src/db/conditions.ts";
import { type Position, START } from "../../src/db/page.ts";
import { deleteRows } from "../../src/db/rows.ts";
import { StoreUnavailable } from "../../src/db/store.ts";
import { type EngineUnderTest, openForTest } from "../support/engine/engines.ts";
import { times } from "../support/engine/races.ts";
import {
  createThings,
  deleteOf,
  find,
  hit,
  ids,
  insert,
  insertUnlessThere,
  match,
  pages,
  replace,
  spend,
  thing,
  things,
} from "./things.ts";

const full = thing("full", {
  createTime: new Date("2026-02-28T23:59:59.999Z"),
  useTime: new Date("2026-03-01T00:00:00.001Z"),
  size: -2_147_483_648,
  count: 4_294_967_296 + 1,
  flag: false,
  digest: Buffer.from([0, 255, 128, 39, 92]),
  document: { text: "12", nested: [1, null, true, { "": "'\\\u0000" }], last: 0.1 },
});

/** What a storage engine has to do for the service to be right: whoever adds an engine runs this against it. */
export function storageContract(engine: EngineUnderTest): void {
  const open = async () => {
    const opened = await openForTest(engine);
    await createThings(opened, engine);
    return opened.store;
  };
  let store: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => {
    store = await open();
  });
  const row = async (id: string) => (await store.read((tx) => tx.run(find, { id })))[0];
  const allIds = async () => (await store.read((tx) => tx.run(ids, {}))).map(({ id }) => id);

  it("returns every kind of value exactly as it was inserted", async () => {
    expect(await store.write((tx) => tx.run(insert, full))).toEqual([full]);
    expect(await row("full")).toEqual(full);
    expect(Buffer.isBuffer((await row("full"))?.digest)).toBe(true);
  });

  it("returns null for null in every column", async () => {
    await store.write((tx) => tx.run(insert, thing("empty")));
    expect(await row("empty")).toEqual(thing("empty"));
  });

  it("tells an empty value from none", async () => {
    const empty = thing("empty", { owner: "", size: 0, count: 0, digest: Buffer.alloc(0), document: "" });
    await store.write((tx) => tx.run(insert, empty));
    expect(await row("empty")).toEqual(empty);
  });

  it.each([
    ["a string that looks like a number", "12"],
    ["a number", 12],
    ["false", false],
    ["a list", []],
  ])("returns JSON of any kind: %s", async (_, document) => {
    await store.write((tx) => tx.run(insert, thing("json", { document })));
    expect((await row("json"))?.document).toStrictEqual(document);
  });

  it("keeps the bytes of a view, not those of the memory behind it", async () => {
    const digest = Buffer.from("xxabcxx").subarray(2, 5);
    await store.write((tx) => tx.run(insert, thing("view", { digest })));
    expect((await row("view"))?.digest).toEqual(Buffer.from("abc"));
  });

  it("takes parameters of every kind in set", async () => {
    await store.write((tx) => tx.run(insert, thing("full")));
    expect(await store.write((tx) => tx.run(replace, full))).toEqual([full]);
    expect(await row("full")).toEqual(full);
    await store.write((tx) => tx.run(replace, thing("full")));
    expect(await row("full")).toEqual(thing("full"));
  });

  it("takes parameters of every kind in where", async () => {
    await store.write((tx) => tx.run(insert, full));
    const { document: _, ...values } = full;
    const matches = async (changed: Partial<typeof full>) =>
      (await store.read((tx) => tx.run(match, { ...values, ...changed }))).length;
    expect(await matches({})).toBe(1);
    expect(await matches({ createTime: new Date(full.createTime.getTime() + 1) })).toBe(0);
    expect(await matches({ useTime: new Date(0) })).toBe(0);
    expect(await matches({ count: 1 })).toBe(0);
    expect(await matches({ flag: true })).toBe(0);
    expect(await matches({ digest: Buffer.from([0]) })).toBe(0);
    expect(await matches({ useTime: null })).toBe(0);
  });

  it("refuses a parameter that is undefined, missing or an invalid date", async () => {
    const bad = (values: object) => store.write((tx) => tx.run(insert, { ...thing("bad"), ...values }));
    await expect(bad({ flag: undefined })).rejects.toThrow('"flag" is undefined');
    await expect(bad({ createTime: new Date(Number.NaN) })).rejects.toThrow('"createTime" is an invalid date');
    const { useTime: _, ...missing } = thing("bad");
    await expect(store.write((tx) => tx.run(insert, missing as typeof full))).rejects.toThrow("useTime");
    expect(await allIds()).toEqual([]);
  });

  it.each(["oldestFirst", "newestFirst"] as const)(
    "pages through rows of equal times, each once and in order: %s",
    async (order) => {
      const rows = times(23, (i) =>
        thing(`${i}`.padStart(2, "0"), { createTime: new Date(1_000 + Math.floor(i / 7)) }),
      );
      await store.write(async (tx) => {
        for (const one of rows.toReversed()) await tx.run(insert, one);
        await tx.run(insert, thing("foreign", { owner: "bob", createTime: new Date(1_001) }));
      });
      const seen: string[][] = [];
      const fetchPage = (position: Position) =>
        store.read((tx) => pages[order](tx, { owner: "ann" }, { position, size: 5 }));
      for (let position: Position | undefined = START; position; ) {
        const { rows: found, next }: Awaited<ReturnType<typeof fetchPage>> = await fetchPage(position);
        seen.push(found.map(({ id }) => id));
        position = next;
      }
      const wanted = rows.map(({ id }) => id);
      expect(seen.flat()).toEqual(order === "oldestFirst" ? wanted : wanted.toReversed());
      expect(seen.map((one) => one.length)).toEqual([5, 5, 5, 5, 3]);
    },
  );

  it("ends with the last page when it is exactly full", async () => {
    await store.write((tx) => tx.run(insert, thing("only")));
    const asked = { position: START, size: 1 };
    const found = await store.read((tx) => pages.oldestFirst(tx, { owner: "ann" }, asked));
    expect(found).toEqual({ rows: [thing("only")] });
  });

  it("deletes the rows that meet every condition, answers what they were, and never deletes without one", async () => {
    const rows = [
      thing("meant", { size: 1 }),
      thing("too", { size: 2 }),
      thing("other", { size: 3 }),
      thing("foreign", { owner: "bob", size: 1 }),
    ];
    await store.write(async (tx) => {
      for (const one of rows) await tx.run(insert, one);
    });
    const deleted = await store.write((tx) => tx.run(deleteOf, { owner: "ann" }));
    expect(deleted.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(rows.slice(0, 2));
    const everything = deleteRows(things, anyRow);
    await expect(store.write((tx) => tx.run(everything, {}))).rejects.toThrow("without a condition");
    expect(await allIds()).toEqual(["foreign", "other"]);
  });

  it("commits what a unit wrote, whatever it returns", async () => {
    const refusal = new Error("a refusal that is returned");
    const result = await store.write(async (tx) => {
      await tx.run(insert, thing("kept"));
      return refusal;
    });
    expect(result).toBe(refusal);
    expect(await allIds()).toEqual(["kept"]);
  });

  it("rolls back everything a unit wrote when it throws, and passes the error on", async () => {
    const error = new Error("thrown");
    const unit = store.write(async (tx) => {
      await tx.run(insert, thing("first"));
      await tx.run(insert, thing("second"));
      throw error;
    });
    await expect(unit).rejects.toBe(error);
    expect(await allIds()).toEqual([]);
  });

  it("lets a unit see its own writes, and nobody else before its commit", async () => {
    const seen = await store.write(async (tx) => {
      await tx.run(insert, thing("new"));
      return tx.run(ids, {});
    });
    expect(seen).toEqual([{ id: "new" }]);
    let outside: Promise<string[]> | undefined;
    const start = AsyncLocalStorage.snapshot(); // outside the unit, where reading is allowed
    await store.write(async (tx) => {
      await tx.run(insert, thing("newer"));
      outside = start(allIds);
      await outside;
    });
    expect(await outside).toEqual(["new"]);
  });

  it("cannot write in a read", async () => {
    const attempt = store.read((tx) => tx.run(insert, thing("smuggled")));
    await expect(attempt).rejects.toThrow(/read-?only/i);
    await expect(attempt).rejects.not.toBeInstanceOf(StoreUnavailable); // a retry would not help
    expect(await allIds()).toEqual([]);
  });

  it("keeps an innocent unit's rows when another one rolls back at the same time", async () => {
    const units = times(100, (i) =>
      store.write(async (tx) => {
        await tx.run(insert, thing(`${i}`.padStart(3, "0")));
        if (i % 3 === 0) throw new Error("guilty");
        return i;
      }),
    );
    const settled = await Promise.allSettled(units);
    expect(settled.map(({ status }) => status)).toEqual(times(100, (i) => (i % 3 === 0 ? "rejected" : "fulfilled")));
    expect(await allIds()).toEqual(times(100, (i) => `${i}`.padStart(3, "0")).filter((_, i) => i % 3 !== 0));
  });

  it("lets one of 1,000 concurrent callers spend a thing", async () => {
    await store.write((tx) => tx.run(insert, thing("once")));
    const now = new Date(1_790_000_000_001);
    const spent = await Promise.all(times(1_000, () => store.write((tx) => tx.run(spend, { id: "once", now }))));
    expect(spent.filter((rows) => rows.length === 1)).toHaveLength(1);
    expect((await row("once"))?.useTime).toEqual(now);
  });

  it("counts every one of 100 concurrent hits, each with a number of its own", async () => {
    const now = new Date();
    const hits = await Promise.all(times(100, () => store.write((tx) => tx.run(hit, { id: "count", now }))));
    expect(hits.map(([one]) => one?.count).sort((a, b) => Number(a) - Number(b))).toEqual(times(100, (i) => i + 1));
    expect((await row("count"))?.count).toBe(100);
  });

  it("tells by the returned rows whether an insert met a conflict, and goes on in the unit", async () => {
    const lengths = await store.write(async (tx) => [
      (await tx.run(insertUnlessThere, thing("one"))).length,
      (await tx.run(insertUnlessThere, thing("one", { owner: "bob" }))).length,
      (await tx.run(insertUnlessThere, thing("two"))).length,
    ]);
    expect(lengths).toEqual([1, 0, 1]);
    expect((await row("one"))?.owner).toBe("ann");
  });

  it("lets one of many concurrent callers insert an id", async () => {
    const results = await Promise.allSettled(times(20, () => store.write((tx) => tx.run(insert, thing("same")))));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await allIds()).toEqual(["same"]);
  });

  it("fails a unit whose statement failed, also when the unit catches the error", async () => {
    await store.write((tx) => tx.run(insert, thing("there")));
    const unit = store.write(async (tx) => {
      await tx.run(insert, thing("new"));
      await tx.run(insert, thing("there")).catch(() => {});
      await expect(tx.run(insert, thing("newer"))).rejects.toThrow("after one that failed");
      return "all is well";
    });
    await expect(unit).rejects.toThrow(/unique/i);
    expect(await allIds()).toEqual(["there"]);
  });

  it("shows no parameters in the errors of statements", async () => {
    const secret = thing("id-1", { owner: "s3cret-owner" });
    await store.write((tx) => tx.run(insert, secret));
    const error = await store.write((tx) => tx.run(insert, { ...secret })).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Error);
    for (const key of [...Object.getOwnPropertyNames(error), "cause"]) {
      expect(String(error[key])).not.toMatch(/s3cret-owner|id-1/);
    }
  });

  it.each(["read", "write"] as const)("refuses a %s inside a write instead of waiting for itself", async (kind) => {
    const nested = store.write(async (tx) => {
      await tx.run(insert, thing("outer"));
      await store[kind]((inner) => inner.run(ids, {}));
    });
    await expect(nested).rejects.toThrow("inside a unit of work");
    expect(await allIds()).toEqual([]);
  });

  it("allows a unit that was started by a finished one", async () => {
    const finished = Promise.withResolvers<void>();
    let later: Promise<unknown> | undefined;
    await store.write(async (tx) => {
      await tx.run(insert, thing("first"));
      later = finished.promise.then(() => store.write((next) => next.run(insert, thing("second"))));
    });
    finished.resolve();
    await later;
    expect(await allIds()).toEqual(["first", "second"]);
  });

  it("refuses a statement after its unit has ended", async () => {
    let kept: Parameters<Parameters<typeof store.write>[0]>[0] | undefined;
    await store.write(async (tx) => {
      kept = tx;
    });
    await expect(kept?.run(insert, thing("late"))).rejects.toThrow("after its unit ended");
    expect(await allIds()).toEqual([]);
  });

  it("keeps each unit in its caller's async context", async () => {
    const caller = new AsyncLocalStorage<number>();
    const seen = await Promise.all(
      times(20, (i) => caller.run(i, () => store.write(async (tx) => [await tx.run(ids, {}), caller.getStore()][1]))),
    );
    expect(seen).toEqual(times(20, (i) => i));
  });

  it("makes a unit's rows visible to everybody as soon as it resolves", async () => {
    for (const id of times(20, (i) => `${i}`.padStart(2, "0"))) {
      await store.write((tx) => tx.run(insert, thing(id)));
      expect((await allIds()).at(-1)).toBe(id);
    }
  });

  it("commits the writes that were waiting when it was closed, and refuses later ones", async () => {
    const opened = await openForTest(engine);
    await createThings(opened, engine);
    const waiting = times(300, (i) => opened.store.write((tx) => tx.run(insert, thing(`${i}`))));
    const closed = opened.store.close();
    await expect(opened.store.write((tx) => tx.run(insert, thing("late")))).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(opened.store.read((tx) => tx.run(ids, {}))).rejects.toBeInstanceOf(StoreUnavailable);
    await closed;
    expect(await Promise.all(waiting)).toHaveLength(300);
    const again = await engine.reopen(opened);
    expect(await again.read((tx) => tx.run(ids, {}))).toHaveLength(300);
    await again.close();
  });

  it("tells listeners of a topic once the unit that announced it is committed, and of none that rolled back", async () => {
    const told: string[] = [];
    const silence = store.listen({ onTopic: (topic) => void told.push(topic), onGap: () => {} });
    const lost = new Error("undone");
    await store.write(async (tx) => {
      await tx.run(insert, thing("a"));
      tx.announce("kept");
      tx.announce("kept");
      expect(told).toEqual([]);
    });
    const undone = store.write(async (tx) => {
      tx.announce("undone");
      throw lost;
    });
    await expect(undone).rejects.toBe(lost);
    expect(told).toEqual(["kept"]);
    silence();
    await store.write(async (tx) => tx.announce("unheard"));
    expect(told).toEqual(["kept"]);
  });
}

import { eq } from "drizzle-orm";
import { installation } from "./installation.table.ts";
import { type Building, type Store, statement } from "./store.ts";

/** Development data and production data never meet in one process. */
export type Mode = "dev" | "production";

const claim = statement((s: Building<{ value: string }>) => {
  const t = s.table(installation);
  return s.db
    .insert(t)
    .values({ name: "mode", value: s.param("value", t.value) })
    .onConflictDoNothing()
    .returning({ value: t.value });
});

const find = statement((s: Building<Record<never, never>>) => {
  const t = s.table(installation);
  return s.db.select({ value: t.value }).from(t).where(eq(t.name, "mode"));
});

/** Refuses a database that is marked with another mode. */
export function requireMode(marked: string | undefined, mode: Mode): void {
  if (marked !== mode) {
    throw new Error(`this database belongs to a ${marked} installation; a ${mode} start must use another one`);
  }
}

/** Marks a new database with the mode of its first start, and refuses to serve one that was marked otherwise. */
export async function claimMode(store: Store, mode: Mode): Promise<void> {
  const marked = await store.write(async (tx) => {
    await tx.run(claim, { value: mode });
    return (await tx.run(find, {}))[0]?.value;
  });
  requireMode(marked, mode);
}

const touch = statement((s: Building<{ value: string }>) => {
  const t = s.table(installation);
  const value = s.param("value", t.value);
  return s.db
    .insert(t)
    .values({ name: "probe", value })
    .onConflictDoUpdate({ target: t.name, set: { value } })
    .returning({ value: t.value });
});

/** Reads something small: resolves when the store answered. */
export async function probeRead(store: Store): Promise<void> {
  await store.read((tx) => tx.run(find, {}));
}

/** Writes something of no meaning: resolves when the store confirmed it. */
export async function probeWrite(store: Store): Promise<void> {
  await store.write((tx) => tx.run(touch, { value: "ok" }));
}

import { and, asc, eq, lt, or, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { after, type PageParams, type Position, pageParams, slice } from "../../db/page.ts";
import { isInSpan, type Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { webauthnCredentials, webauthnUsers } from "./webauthn.table.ts";

/** A row of the table. */
export type CredentialRow = ReturnType<typeof webauthnCredentials>["$inferSelect"];
/** A row of the table. */
export type WebAuthnUserRow = ReturnType<typeof webauthnUsers>["$inferSelect"];

type Key = Owner & { credentialId: string };
type Use = Key & { counter: number; backedUp: boolean; now: Date };

const isOwner = (s: Building<Owner>) => isOwnedBy(s, s.table(webauthnCredentials));

const isCredential = (s: Building<Key>) => {
  const t = s.table(webauthnCredentials);
  return and(isOwner(s), eq(t.credentialId, s.param("credentialId", t.credentialId)));
};

const isUser = (s: Building<Owner>) => isOwnedBy(s, s.table(webauthnUsers));

const statements = {
  listHoldings: statement((s: Building<Span>) => {
    const t = s.table(webauthnCredentials);
    return s.db.select({ userId: t.userId }).from(t).where(isInSpan(s, t));
  }),
  insertUser: statement((s: Building<WebAuthnUserRow>) => {
    const t = s.table(webauthnUsers);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ userId: t.userId });
  }),
  findUser: statement((s: Building<Owner>) => s.db.select().from(s.table(webauthnUsers)).where(isUser(s))),
  nameUser: statement((s: Building<Owner & { userName: string }>) => {
    const t = s.table(webauthnUsers);
    return s.db
      .update(t)
      .set({ userName: s.param("userName", t.userName) })
      .where(isUser(s))
      .returning({ userId: t.userId });
  }),
  insert: statement((s: Building<CredentialRow>) => {
    const t = s.table(webauthnCredentials);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning();
  }),
  find: statement((s: Building<Key>) => s.db.select().from(s.table(webauthnCredentials)).where(isCredential(s))),
  list: statement((s: Building<Owner & PageParams>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), after(s, t.createTime, t.credentialId)))
      .orderBy(asc(t.createTime), asc(t.credentialId))
      .limit(s.limit("limit"));
  }),
  listAll: statement((s: Building<Owner>) => {
    const t = s.table(webauthnCredentials);
    return s.db.select().from(t).where(isOwner(s)).orderBy(asc(t.createTime), asc(t.credentialId));
  }),
  advance: statement((s: Building<Use>) => {
    const t = s.table(webauthnCredentials);
    const counter = s.param("counter", t.counter);
    return s.db
      .update(t)
      .set({ counter, backedUp: s.param("backedUp", t.backedUp), lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isCredential(s), or(lt(t.counter, counter), and(eq(t.counter, 0), eq(t.counter, counter)))))
      .returning({ credentialId: t.credentialId });
  }),
  suspect: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({ cloneWarning: true, updateTime: s.param("now", t.updateTime) })
      .where(isCredential(s))
      .returning({ credentialId: t.credentialId });
  }),
  rename: statement((s: Building<Key & { displayName: string; basedOn: number; now: Date }>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({
        displayName: s.param("displayName", t.displayName),
        version: sql`${t.version} + 1`,
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isCredential(s), eq(t.version, s.param("basedOn", t.version))))
      .returning();
  }),
  delete: statement((s: Building<Key>) => s.db.delete(s.table(webauthnCredentials)).where(isCredential(s)).returning()),
  deleteAll: statement((s: Building<Owner>) => {
    const t = s.table(webauthnCredentials);
    return s.db.delete(t).where(isOwner(s)).returning({ credentialId: t.credentialId });
  }),
};

/** A user's passkeys and security keys. */
export const webauthnRepository = (tx: Tx) => ({
  /** The user's handle, made by the first who asks: of any number of callers all get the same. */
  claimUser: async (row: WebAuthnUserRow) => {
    await tx.run(statements.insertUser, row);
    const [user = row] = await tx.run(statements.findUser, { tenantId: row.tenantId, userId: row.userId });
    return user;
  },
  findUser: async (owner: Owner) => (await tx.run(statements.findUser, owner))[0],
  nameUser: (owner: Owner, userName: string) => tx.run(statements.nameUser, { ...owner, userName }),
  /** Undefined when the authenticator's id is registered already, to anyone. */
  insert: async (row: CredentialRow) => (await tx.run(statements.insert, row))[0],
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** A page of credentials, oldest first. */
  list: async (owner: Owner, { position, size }: { position: Position; size: number }) => {
    const rows = await tx.run(statements.list, { ...owner, ...pageParams(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.credentialId }));
  },
  /** All credentials, of many users. */
  listHoldings: (span: Span) => tx.run(statements.listHoldings, span),
  listAll: (owner: Owner) => tx.run(statements.listAll, owner),
  /** Notes a use if the counter went on, or is zero and stays so: false for a counter seen before. */
  advance: async (key: Key, use: { counter: number; backedUp: boolean; now: Date }) =>
    (await tx.run(statements.advance, { ...key, ...use })).length === 1,
  /** Marks a credential whose counter did not go on; false if it is gone. */
  suspect: async (key: Key, now: Date) => (await tx.run(statements.suspect, { ...key, now })).length === 1,
  /** Undefined when the version is no longer `basedOn`. */
  rename: async (key: Key, change: { displayName: string; basedOn: number; now: Date }) =>
    (await tx.run(statements.rename, { ...key, ...change }))[0],
  delete: async (key: Key) => (await tx.run(statements.delete, key))[0],
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
});

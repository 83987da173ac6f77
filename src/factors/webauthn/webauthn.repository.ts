import { and, eq, isNull, lt, or } from "drizzle-orm";
import { anyRow, whereEquals } from "../../db/conditions.ts";
import { deleteRows, insertIfNew, type PageAsked, select, selectPage } from "../../db/rows.ts";
import { insertSet, isAny, runForAll, selectOfUsers, type Users } from "../../db/sets.ts";
import { isInSpan, type UserSpan } from "../../db/span.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { rename } from "../devices.repository.ts";
import { webauthnCredentials, webauthnUsers } from "./webauthn.table.ts";

/** A row of the table. */
export type CredentialRow = ReturnType<typeof webauthnCredentials>["$inferSelect"];
/** A row of the table. */
export type WebAuthnUserRow = ReturnType<typeof webauthnUsers>["$inferSelect"];

type Key = Owner & { credentialId: string };
type Eligibility = Key & { backupEligible: boolean; rowMac: Buffer };
type Use = Key & { counter: number; backedUp: boolean; now: Date };

const isOwner = whereEquals(webauthnCredentials, "tenantId", "userId");
const isCredential = whereEquals(webauthnCredentials, "tenantId", "userId", "credentialId");
const isUser = whereEquals(webauthnUsers, "tenantId", "userId");
const oldestFirst = { time: "createTime", id: "credentialId" } as const;

const statements = {
  listHoldings: statement((s: Building<UserSpan>) => {
    const t = s.table(webauthnCredentials);
    const { userId, rpId, backupEligible, attachment, attested, aaguid } = t;
    return s.db.select({ userId, rpId, backupEligible, attachment, attested, aaguid }).from(t).where(isInSpan(s, t));
  }),
  insertUser: insertIfNew(webauthnUsers),
  findUser: select(webauthnUsers, isUser),
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
  find: select(webauthnCredentials, isCredential),
  list: selectPage(webauthnCredentials, isOwner, oldestFirst),
  listAll: select(webauthnCredentials, isOwner, oldestFirst),
  advance: statement((s: Building<Use>) => {
    const t = s.table(webauthnCredentials);
    const counter = s.param("counter", t.counter);
    return s.db
      .update(t)
      .set({ counter, backedUp: s.param("backedUp", t.backedUp), lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isCredential(s), or(lt(t.counter, counter), and(eq(t.counter, 0), eq(t.counter, counter)))))
      .returning({ credentialId: t.credentialId });
  }),
  learn: statement((s: Building<Eligibility>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({
        backupEligible: s.param("backupEligible", t.backupEligible),
        backupKnown: true,
        rowMac: s.param("rowMac", t.rowMac),
      })
      .where(and(isCredential(s), eq(t.backupKnown, false)))
      .returning({ credentialId: t.credentialId });
  }),
  noteChange: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({ eligibilityChanged: true, updateTime: s.param("now", t.updateTime) })
      .where(and(isCredential(s), or(isNull(t.eligibilityChanged), eq(t.eligibilityChanged, false))))
      .returning({ credentialId: t.credentialId });
  }),
  acceptAnew: statement((s: Building<Key & { rowMac: Buffer; now: Date }>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({
        ...{ counter: 0, cloneWarning: false, eligibilityChanged: false, backupKnown: false },
        rowMac: s.param("rowMac", t.rowMac),
        updateTime: s.param("now", t.updateTime),
      })
      .where(isCredential(s))
      .returning();
  }),
  suspect: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(webauthnCredentials);
    return s.db
      .update(t)
      .set({ cloneWarning: true, updateTime: s.param("now", t.updateTime) })
      .where(isCredential(s))
      .returning({ credentialId: t.credentialId });
  }),
  rename: rename(webauthnCredentials, isCredential),
  delete: deleteRows(webauthnCredentials, isCredential),
  deleteAll: deleteRows(webauthnCredentials, isOwner),
};

const insertAll = insertSet<ReturnType<typeof webauthnCredentials>, CredentialRow>(webauthnCredentials, {
  ifNew: true,
});
const insertUsers = insertSet<ReturnType<typeof webauthnUsers>, WebAuthnUserRow>(webauthnUsers, { ifNew: true });
const listOf = selectOfUsers(webauthnCredentials, anyRow);
const listUsersOf = selectOfUsers(webauthnUsers, anyRow);
const listByWebauthnId = select(webauthnCredentials, isAny(webauthnCredentials, "webauthnId"));

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
  /** Adds credentials; says how many were not registered already. */
  insertAll: (rows: readonly CredentialRow[]) => insertAll(tx, rows),
  /** Gives users their handles where they have none. */
  claimUsers: (rows: readonly WebAuthnUserRow[]) => insertUsers(tx, rows),
  /** All credentials of many users. */
  listOf: (users: Users) => listOf(tx, users, {}),
  /** The handles of many users. */
  listUsersOf: (users: Users) => listUsersOf(tx, users, {}),
  /** The credentials of these ids, of any user. */
  listByWebauthnId: (ids: readonly Buffer[]) => runForAll(tx, listByWebauthnId, ids, {}),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** A page of credentials, oldest first. */
  list: (owner: Owner, page: PageAsked) => statements.list(tx, owner, page),
  /** All credentials of many users, as far as settings and policy look at them. */
  listHoldings: (span: UserSpan) => tx.run(statements.listHoldings, span),
  listAll: (owner: Owner) => tx.run(statements.listAll, owner),
  /** Notes a use if the counter went on, or is zero and stays so: false for a counter seen before. */
  advance: async (key: Key, use: { counter: number; backedUp: boolean; now: Date }) =>
    (await tx.run(statements.advance, { ...key, ...use })).length === 1,
  /** Keeps what the first assertion said of a flag that was unknown; false if another was first. */
  learn: async (row: Eligibility) => (await tx.run(statements.learn, row)).length === 1,
  /** Marks a credential that signed with another flag BE than before; false if it is marked already, or gone. */
  noteChange: async (key: Key, now: Date) => (await tx.run(statements.noteChange, { ...key, now })).length === 1,
  /** Takes the credential as if it had just been imported: counter and flag are what the next assertion says. */
  acceptAnew: async (key: Key, rowMac: Buffer, now: Date) =>
    (await tx.run(statements.acceptAnew, { ...key, rowMac, now }))[0],
  /** Marks a credential whose counter did not go on; false if it is gone. */
  suspect: async (key: Key, now: Date) => (await tx.run(statements.suspect, { ...key, now })).length === 1,
  /** Renames the credential if it is still of this version. */
  rename: async (key: Key & { displayName: string; version: number }, now: Date) =>
    (await tx.run(statements.rename, { ...key, now }))[0],
  delete: async (key: Key) => (await tx.run(statements.delete, key))[0],
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
});

import { and, eq, isNull } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../db/bound-rows.ts";
import { whereEquals } from "../db/conditions.ts";
import { insert, select, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { prompts } from "./prompts.table.ts";

/** A prompt as it is stored. */
export type PromptRow = RowOf<typeof prompts>;
/** The key of a prompt. */
export type PromptKey = Owner & { readonly promptId: string };

const isThis = whereEquals(prompts, "tenantId", "userId", "promptId");

const statements = {
  insert: insert(prompts),
  find: select(prompts, whereEquals(prompts, "promptId")),
  open: rewriting(
    prompts,
    statement((s: Building<WithMac<PromptRow>>) => {
      const t = s.table(prompts);
      return s.db
        .update(t)
        .set(setParams(s, t, "cookieDigest", "boundMac"))
        .where(and(isThis(s), isNull(t.cookieDigest), isNull(t.endTime)))
        .returning();
    }),
  ),
  giveCode: rewriting(
    prompts,
    statement((s: Building<WithMac<PromptRow>>) => {
      const t = s.table(prompts);
      return s.db
        .update(t)
        .set(setParams(s, t, "codeDigest", "codeExpireTime", "boundMac"))
        .where(and(isThis(s), isNull(t.endTime), eq(t.cookieDigest, s.param("cookieDigest", t.cookieDigest))))
        .returning();
    }),
  ),
  end: reading(
    prompts,
    statement((s: Building<PromptKey & { now: Date }>) => {
      const t = s.table(prompts);
      return s.db
        .update(t)
        .set({ endTime: s.param("now", t.endTime) })
        .where(and(isThis(s), isNull(t.endTime)))
        .returning();
    }),
  ),
};

/** The hosted prompts. */
export const promptRepository = (tx: Tx) => ({
  insert: (row: PromptRow) => tx.run(statements.insert, row),
  /** Finds a prompt by its id, which names no tenant. */
  find: async (promptId: string) => (await tx.run(statements.find, { promptId }))[0],
  /** Binds a prompt to the cookie in the row: returns a row to exactly one of any number of callers. */
  open: async (row: PromptRow) => (await tx.run(statements.open, row))[0],
  /** Stores the code in the row, in place of an older one; returns undefined once the prompt has ended. */
  giveCode: async (row: PromptRow) => (await tx.run(statements.giveCode, row))[0],
  /** Ends a prompt: returns a row to exactly one of any number of callers. */
  end: async ({ tenantId, userId, promptId }: PromptKey, now: Date) =>
    (await tx.run(statements.end, { tenantId, userId, promptId, now }))[0],
});

import { recordAudit, recordChange } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Tx } from "../db/store.ts";
import { enqueueNotice } from "../events/notices.ts";
import { coolDownOf } from "../protection/enrolment.ts";
import { ticketRepository } from "../protection/tickets.repository.ts";
import { requireUnerased } from "../protection/tombstones.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Factor, Importing, ImportKind, ImportTerms, ToImport } from "./factor.ts";

/** One factor of one user, as another system has it. */
export interface Item {
  readonly userId: string;
  readonly displayName: string;
  /** Whether the user must prove it before it counts. */
  readonly unverified: boolean;
  /** Undefined where a document's line could not be read; `error` says why. */
  readonly kind: ToImport | undefined;
  readonly error: string;
}

/** What became of one. */
export interface Imported {
  readonly userId: string;
  readonly type: Factor["type"] | undefined;
  readonly status: "IMPORTED" | "SKIPPED" | "REPLACED" | "REFUSED";
  /** Why it was refused. Never a secret. */
  readonly error: string;
  readonly factorId: string;
}

/** What a dry run found out, thrown so that nothing of it holds. */
class DryRun extends Error {
  readonly results: readonly Imported[];
  constructor(results: readonly Imported[]) {
    super("a dry run");
    this.results = results;
  }
}

type Prepared = { readonly item: Item; readonly type: Factor["type"] | undefined; readonly step: Importing | string };

type CallTerms = Pick<ImportTerms, "replace" | "brought">;

/** The counts by status. */
export const countOf = (results: readonly Imported[], ...statuses: readonly Imported["status"][]): number =>
  results.filter(({ status }) => statuses.includes(status)).length;

/** Imports factors from other systems: all that can be are, in one unit. A dry run does the same and keeps nothing. */
export function createImport({ keyring, kinds }: { readonly keyring: Keyring; readonly kinds: readonly ImportKind[] }) {
  const prepare = async (call: Call, item: Item, terms: CallTerms): Promise<Prepared> => {
    const { kind, displayName, unverified, userId } = item;
    const found = kinds.find(({ takes }) => takes === kind?.case);
    if (!kind || !found) return { item, type: undefined, step: item.error || "a kind that cannot be imported" };
    const owner = { tenantId: call.caller.tenantId, userId };
    return {
      item,
      type: found.type,
      step: await found.prepare(call, owner, kind, { displayName, unverified, ...terms }),
    };
  };

  /** Serialises every user, in one order for all imports, before anything else is touched. */
  const serialise = async (tx: Tx, call: Call, due: readonly Prepared[]): Promise<void> => {
    const { tenantId } = call.caller;
    for (const userId of [...new Set(due.map(({ item }) => item.userId))].sort()) {
      const owner = { tenantId, userId };
      await userRepository(tx).serialise(owner, call.now);
      // Thrown: of a user who was erased a moment ago nothing is to come back, not even the row that was just written.
      await requireUnerased(tx, keyring, owner, { begun: call.now });
    }
  };

  const take = async (tx: Tx, call: Call, { item, type, step }: Prepared): Promise<Imported> => {
    const refused = (error: string): Imported => ({
      userId: item.userId,
      type,
      status: "REFUSED",
      error,
      factorId: "",
    });
    if (typeof step === "string" || !type) return refused(typeof step === "string" ? step : item.error);
    const owner: Owner = { tenantId: call.caller.tenantId, userId: item.userId };
    if (await coolDownOf(tx, owner, call.now)) return refused("a reset keeps the user from enrolling");
    const done = await step(tx);
    if (typeof done === "string") return refused(done);
    const { status, factorId, active, counts } = done;
    if (status !== "SKIPPED") {
      if (active && counts) await ticketRepository(tx).spendAll(owner, call.now);
      const action = `${type.toLowerCase()}.imported`;
      const after = { status, active };
      await recordChange(tx, call, {
        owner,
        type: "FACTOR_IMPORTED",
        factorType: type,
        action,
        targetId: factorId,
        after,
      });
    }
    return { userId: item.userId, type, status, error: "", factorId };
  };

  /**
   * Tells each user once what came to them, wherever they were told of changes before: an address that came with it is
   * the importer's word, and a migration of everybody is no message to everybody.
   */
  const tell = async (tx: Tx, call: Call, results: readonly Imported[]): Promise<void> => {
    const brought = results.filter(({ status }) => status === "IMPORTED" || status === "REPLACED");
    for (const [userId, theirs] of Map.groupBy(brought, (result) => result.userId)) {
      const owner = { tenantId: call.caller.tenantId, userId };
      const except = theirs.map(({ factorId }) => factorId);
      await enqueueNotice(tx, call, { owner, type: "FACTORS_IMPORTED", factorType: "UNSPECIFIED", except });
    }
  };

  return async (
    call: Call,
    items: readonly Item[],
    { commit, replace }: { commit: boolean; replace: boolean },
  ): Promise<readonly Imported[]> => {
    const prepared: Prepared[] = [];
    const terms: CallTerms = { replace, brought: [] };
    for (const item of items) prepared.push(await prepare(call, item, terms));
    const due = prepared.filter(({ step }) => typeof step !== "string");
    try {
      return await call.unit(async (tx) => {
        await serialise(tx, call, due);
        const results: Imported[] = [];
        for (const one of prepared) results.push(await take(tx, call, one));
        await tell(tx, call, results);
        const owner = { tenantId: call.caller.tenantId, userId: "" };
        const imported = countOf(results, "IMPORTED", "REPLACED");
        const after = { imported, skipped: countOf(results, "SKIPPED"), refused: countOf(results, "REFUSED") };
        await recordAudit(tx, call, { owner, action: "factors.imported", targetId: owner.tenantId, after });
        if (!commit) throw new DryRun(results);
        return results;
      });
    } catch (thrown) {
      if (!(thrown instanceof DryRun)) throw thrown;
      const owner = { tenantId: call.caller.tenantId, userId: "" };
      await call.unit((tx) =>
        recordAudit(tx, call, { owner, action: "factors.import_tried", targetId: owner.tenantId }),
      );
      return thrown.results.map((result) => ({ ...result, factorId: "" }));
    }
  };
}

import { type Act, recordAudit, recordChanges } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Users } from "../../db/sets.ts";
import type { Tx } from "../../db/store.ts";
import { ticketRepository } from "../../enrollment-tickets/tickets.repository.ts";
import { requireAllUnerased } from "../../erasure/tombstones/tombstones.ts";
import type { Happening } from "../../events/events.ts";
import { enqueueNotices } from "../../events/notices.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { Brought, Factor, Importing, ImportKind, ToBring, ToImport } from "../factor.ts";

/** One factor of one user, as another system has it. */
export interface Item {
  readonly userId: string;
  readonly displayName: string;
  /** Whether the user must prove it before it counts. */
  readonly unverified: boolean;
  /** Undefined where it could not be read, or breaks a rule; `error` says why. */
  readonly kind: ToImport | undefined;
  readonly error: string;
  /** The line of a document on which it begins; 0 for what is written out. */
  readonly line: number;
  /** For which field it is refused; empty where it is none, or not refused. */
  readonly field: string;
}

/** What became of one. */
export interface Imported {
  readonly userId: string;
  readonly type: Factor["type"] | undefined;
  readonly status: "IMPORTED" | "SKIPPED" | "REPLACED" | "REFUSED";
  /** Why it was refused. Never a secret. */
  readonly error: string;
  readonly factorId: string;
  readonly line: number;
  readonly field: string;
}

/** What a dry run found out, thrown so that nothing of it holds. */
class DryRun extends Error {
  readonly results: readonly Imported[];
  constructor(results: readonly Imported[]) {
    super("a dry run");
    this.results = results;
  }
}

/** The counts by status. */
export const countOf = (results: readonly Imported[], ...statuses: readonly Imported["status"][]): number =>
  results.filter(({ status }) => statuses.includes(status)).length;

/** The items of one kind, by their places in the call, and how they are imported. */
interface Part {
  readonly type: Factor["type"];
  readonly places: readonly number[];
  readonly step: Importing;
}

const isBrought = ({ status }: Imported): boolean => status === "IMPORTED" || status === "REPLACED";

/** What became of an item that nothing was done with. */
function refusedOf({ userId, error, line, field }: Item): Imported {
  const why = error || "a kind that cannot be imported";
  return { ...{ userId, type: undefined, status: "REFUSED", error: why, factorId: "", line, field } };
}

/** What became of an item of a kind. */
function resultOf({ userId, line, field }: Item, type: Factor["type"], brought: Brought): Imported {
  const of = { userId, type, line, field };
  if (typeof brought !== "string") return { ...of, status: brought.status, error: "", factorId: brought.factorId };
  return { ...of, status: "REFUSED", error: line > 0 ? `line ${line}: ${brought}` : brought, factorId: "" };
}

/** Imports factors from other systems: all that can be are, in one unit. A dry run does the same and keeps nothing. */
export function createImport({ keyring, kinds }: { readonly keyring: Keyring; readonly kinds: readonly ImportKind[] }) {
  /** Does what is to be done outside of units, kind by kind. */
  const prepare = async (call: Call, items: readonly Item[], replace: boolean): Promise<Part[]> => {
    const { tenantId } = call.caller;
    const parts: Part[] = [];
    for (const { takes, type, prepare: prepareAll } of kinds) {
      const places = items.flatMap(({ kind }, n) => (kind?.case === takes ? [n] : []));
      const given = places.flatMap((n): ToBring[] => {
        const { kind, userId, displayName, unverified } = items[n] ?? {};
        return kind && userId !== undefined
          ? [{ owner: { tenantId, userId }, kind, displayName: displayName ?? "", unverified: unverified ?? false }]
          : [];
      });
      if (given.length > 0) parts.push({ type, places, step: await prepareAll(call, given, { replace }) });
    }
    return parts;
  };

  /** Serialises every user, in one order for all imports, before anything else is touched; answers who may not enroll. */
  const serialise = async (tx: Tx, call: Call, users: Users): Promise<ReadonlySet<string>> => {
    const rows = await userRepository(tx).serialiseAll(users, call.now);
    // Thrown: of a user who was erased a moment ago nothing is to come back, not even the row that was just written.
    await requireAllUnerased(tx, keyring, users, { begun: call.now });
    return new Set(
      rows.filter(({ coolDownUntilTime: until }) => until && until > call.now).map(({ userId }) => userId),
    );
  };

  /** Ends the tickets of who has a second factor from here on, and records each that came. */
  const record = async (
    tx: Tx,
    call: Call,
    came: readonly { result: Imported; active: boolean; counts: boolean }[],
  ) => {
    const { tenantId } = call.caller;
    const counting = came.filter(({ active, counts }) => active && counts).map(({ result }) => result.userId);
    await ticketRepository(tx).spendAllOf({ tenantId, userIds: [...new Set(counting)] }, call.now);
    const changes = came.map(({ result: { userId, type, status, factorId }, active }): Happening & Act => ({
      owner: { tenantId, userId },
      type: "FACTOR_IMPORTED",
      ...(type && { factorType: type }),
      action: `${type?.toLowerCase()}.imported`,
      targetId: factorId,
      after: { status, active },
    }));
    await recordChanges(tx, call, changes);
  };

  /**
   * Tells each user once what came to them, wherever they were told of changes before: an address that came with it is
   * the importer's word, and a migration of everybody is no message to everybody.
   */
  const tell = (tx: Tx, call: Call, results: readonly Imported[]): Promise<void> => {
    const notables = [...Map.groupBy(results.filter(isBrought), ({ userId }) => userId)].map(([userId, theirs]) => ({
      owner: { tenantId: call.caller.tenantId, userId },
      type: "FACTORS_IMPORTED" as const,
      factorType: "UNSPECIFIED" as const,
      except: theirs.map(({ factorId }) => factorId),
    }));
    return enqueueNotices(tx, call, notables);
  };

  /** Imports the parts, in a unit; answers what became of each item, in order. */
  const importAll = async (tx: Tx, call: Call, items: readonly Item[], parts: readonly Part[]) => {
    const { tenantId } = call.caller;
    const userIds = new Set(parts.flatMap(({ places }) => places.map((n) => items[n]?.userId ?? "")));
    const cooling = await serialise(tx, call, { tenantId, userIds: [...userIds] });
    const results = items.map(refusedOf);
    const came: { result: Imported; active: boolean; counts: boolean }[] = [];
    for (const { type, places, step } of parts) {
      for (const [n, brought] of (await step(tx, cooling)).entries()) {
        const place = places[n] ?? 0;
        const item = items[place];
        if (!item) continue;
        const result = resultOf(item, type, brought);
        results[place] = result;
        if (typeof brought !== "string" && isBrought(result)) came.push({ ...brought, result });
      }
    }
    await record(tx, call, came);
    await tell(tx, call, results);
    const imported = countOf(results, "IMPORTED", "REPLACED");
    const after = { imported, skipped: countOf(results, "SKIPPED"), refused: countOf(results, "REFUSED") };
    const owner = { tenantId, userId: "" };
    await recordAudit(tx, call, { owner, action: "factors.imported", targetId: tenantId, after });
    return results;
  };

  return async (
    call: Call,
    items: readonly Item[],
    { commit, replace }: { commit: boolean; replace: boolean },
  ): Promise<readonly Imported[]> => {
    const parts = await prepare(call, items, replace);
    try {
      return await call.unit(async (tx) => {
        const results = await importAll(tx, call, items, parts);
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

import type { Call } from "../core/call.ts";
import { createTurnTaking } from "../core/turn-taking.ts";
import { forEachTenant, inPages } from "../db/each-tenant.ts";
import { type Position, START } from "../db/page.ts";
import type { Owner, Store } from "../db/store.ts";
import { enforcedOf } from "../enforcement/enforcement.ts";
import { listHeld } from "../factors/index.ts";
import { strongest } from "../factors/strength.ts";
import type { ListedNetworks } from "../ip-whitelist/listed-networks.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import type { TrustedDevices } from "../trusted-devices/trusted-devices.ts";
import type { DecisionName } from "./decision.ts";
import type { LogInSeen } from "./engine.ts";
import { postureOf, type RiskEngine, rowOf } from "./engine.ts";
import type { Requirements } from "./requirement.ts";
import { type RiskDecisionRow, riskDecisionRepository, type WantedDecisions } from "./risk-decisions.repository.ts";

/** Dependencies of decisions. */
export interface DecisionOptions {
  readonly judging: RiskEngine;
  readonly settingsOf: SettingsOf;
  readonly trustedDevices: TrustedDevices;
  readonly listedNetworks: ListedNetworks;
}

/** A log-in that somebody wants judged. */
export interface Trial {
  readonly owner: Owner;
  readonly seen: Omit<LogInSeen, "listed" | "trusted">;
  readonly trustToken: string;
  /** Levels to judge by in place of the tenant's. */
  readonly candidate: Requirements | undefined;
  readonly dryRun: boolean;
}

/** What another policy would have made of past log-ins. */
export interface Replay {
  readonly judged: number;
  readonly transitions: readonly {
    readonly before: DecisionName;
    readonly after: DecisionName;
    readonly count: number;
  }[];
  readonly examples: readonly RiskDecisionRow[];
}

/** Decisions that one unit reads: others must not wait for a long replay. */
const WINDOW = 250;
/** Units that one list looks through before it answers with what it has, and where to go on. */
const WINDOWS = 250;
/** The scope of who may leave a decision behind: one that only reads does not write. */
const RECORDS = "mfa.policy.write";
const everything: WantedDecisions = {
  ...{ userId: "", level: "", decision: "" },
  since: new Date(0),
  until: new Date("9999-12-31T00:00:00.000Z"),
};

/** What administrators ask about decisions: how a log-in would be judged, how others were, and by another policy. */
export function createRiskDecisions({ judging, settingsOf, trustedDevices, listedNetworks }: DecisionOptions) {
  return {
    /** Judges a log-in without one happening. */
    async evaluate(call: Call, { owner, seen, trustToken, candidate, dryRun }: Trial) {
      const settings = await settingsOf(owner.tenantId);
      const { application, ip } = seen.client;
      const listed = await listedNetworks.isListed(owner.tenantId, ip, call.now);
      return call.unit(async (tx) => {
        const trusted = await trustedDevices.isTrusted(tx, call, owner, { trustToken, application, settings });
        const has = postureOf(await listHeld(tx, owner, call.now), settings);
        const { demanded } = await enforcedOf(tx, owner, call.now);
        const standing = { ...has, trusted, asked: "UNSPECIFIED", enforced: strongest(...demanded) } as const;
        const about = { standing, candidate, now: call.now };
        const judgement = await judging.judge(tx, owner, { ...seen, listed, trusted }, about);
        const recorded = { judgement, client: seen.client, underWay: false } as const;
        const isKept = !dryRun && candidate === undefined && call.caller.scopes.has(RECORDS);
        const row = isKept
          ? await judging.record(tx, call, owner, recorded)
          : { ...rowOf(call, owner, recorded), decisionId: "" };
        return { row, types: judgement.decided.types };
      });
    },

    /** A page of the tenant's decisions, newest first. */
    async list(call: Call, wanted: Partial<WantedDecisions>, page: { position: Position; size: number }) {
      const rows: RiskDecisionRow[] = [];
      let position: Position | undefined = page.position;
      for (let n = 0; n < WINDOWS && position !== undefined && rows.length < page.size; n += 1) {
        const asked: typeof page = { position, size: page.size - rows.length };
        const part = await call.unit((tx) =>
          riskDecisionRepository(tx).list(call.caller.tenantId, { ...everything, ...wanted }, asked),
        );
        rows.push(...part.rows);
        position = part.next;
      }
      return { rows, next: position };
    },

    /** Judges the latest decisions again by other levels. */
    async replay(call: Call, levels: Requirements, { most, examples }: { most: number; examples: number }) {
      const takeTurn = createTurnTaking();
      const counts = new Map<string, { before: DecisionName; after: DecisionName; count: number }>();
      const changed: RiskDecisionRow[] = [];
      let judged = 0;
      let position: Position | undefined = START;
      while (position !== undefined && judged < most && !call.signal.aborted) {
        const page: { position: Position; size: number } = { position, size: Math.min(WINDOW, most - judged) };
        const found = await call.unit((tx) => riskDecisionRepository(tx).list(call.caller.tenantId, everything, page));
        for (const row of found.rows) {
          await takeTurn();
          const [before, after] = [row.decision, judging.rejudge(row, levels).decision];
          const key = `${before} ${after}`;
          counts.set(key, { before, after, count: (counts.get(key)?.count ?? 0) + 1 });
          if (before !== after && changed.length < examples) changed.push(row);
        }
        judged += found.rows.length;
        position = found.next;
      }
      return { judged, transitions: [...counts.values()], examples: changed } satisfies Replay;
    },
  };
}

/** What administrators ask about decisions. */
export type RiskDecisions = ReturnType<typeof createRiskDecisions>;

const BATCH = 500;

/** Forgets decisions that are older than their tenant keeps them; says how many. */
export async function forgetRiskDecisions(
  store: Store,
  { now, retentionMsOf }: { now: Date; retentionMsOf: (tenantId: string) => Promise<number> },
): Promise<number> {
  let forgotten = 0;
  const tenants = inPages(
    (after, size) => store.read((tx) => riskDecisionRepository(tx).listTenants(after, size)),
    (tenantId) => tenantId,
  );
  await forEachTenant(tenants, async (tenantId) => {
    const retentionMs = await retentionMsOf(tenantId);
    if (!Number.isFinite(retentionMs)) return;
    const time = new Date(now.getTime() - retentionMs);
    for (let count = BATCH; count === BATCH; ) {
      count = await store.write((tx) => riskDecisionRepository(tx).deleteBefore(tenantId, time, BATCH));
      forgotten += count;
    }
  });
  return forgotten;
}

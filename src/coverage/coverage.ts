import { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import type { Call } from "../core/call.ts";
import type { UserSpan } from "../db/span.ts";
import type { Tx } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { factors, listHeld } from "../factors/index.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";

/** What a user lacks, by the contract's names. */
export type Gap = Exclude<keyof typeof CoverageGap, "UNSPECIFIED">;

/** A user, what they lack and what they have. */
export interface Covered {
  readonly userId: string;
  readonly gaps: readonly Gap[];
  readonly types: readonly Factor["type"][];
}

/** A user with gaps, as they are listed. */
export interface UserWithGaps extends Covered {
  readonly lastVerifyTime: Date | undefined;
}

/** What coverage needs to know beside the factors. */
export interface CoverageOptions {
  readonly settingsOf: SettingsOf;
  /** Which of a span of users policy demands a factor of, and the time for it has run out. */
  readonly overdueIn: (tx: Tx, span: UserSpan, now: Date) => Promise<(userId: string) => boolean>;
}

/** How many users lack what and have what. */
export interface Counts {
  userCount: number;
  enrolledCount: number;
  readonly gaps: Map<Gap, number>;
  readonly types: Map<Factor["type"], number>;
}

/** Users that one unit looks at: others must not wait for a large tenant. */
const STEP = 250;
/** Users that a page behind the first looks at, to list those with a gap. */
const MOST = 10_000;

type Held = Map<Factor["type"], { count: number; remaining: number }>;

async function heldBy(tx: Tx, span: UserSpan, now: Date): Promise<Map<string, Held>> {
  const users = new Map<string, Held>();
  for (const factor of factors) {
    for (const { userId, remainingUses = 0 } of await factor.listHoldings(tx, span, now)) {
      const held: Held = users.get(userId) ?? new Map();
      const { count, remaining } = held.get(factor.type) ?? { count: 0, remaining: 0 };
      users.set(userId, held.set(factor.type, { count: count + 1, remaining: remaining + remainingUses }));
    }
  }
  return users;
}

function gapsOf(held: Held, settings: EffectiveSettings): Gap[] {
  const counting = factors.filter(({ type, counts }) => counts && held.has(type));
  if (counting.length === 0) return ["NO_FACTOR"];
  const gaps = factors.flatMap((factor): Gap[] => {
    const isOnly = counting.every((one) => one === factor);
    const share = { has: held.has(factor.type), isOnly, remainingUses: held.get(factor.type)?.remaining ?? 0 };
    return [factor.gapOf?.(share, settings) ?? []].flat();
  });
  if (counting.reduce((sum, { type }) => sum + (held.get(type)?.count ?? 0), 0) === 1) gaps.push("SINGLE_FACTOR");
  return gaps.toSorted((a, b) => CoverageGap[a] - CoverageGap[b]);
}

function count(counts: Counts, { gaps, types }: Covered): void {
  counts.userCount += 1;
  if (!gaps.includes("NO_FACTOR")) counts.enrolledCount += 1;
  for (const gap of gaps) counts.gaps.set(gap, (counts.gaps.get(gap) ?? 0) + 1);
  for (const type of types) counts.types.set(type, (counts.types.get(type) ?? 0) + 1);
}

/** How well the users of a tenant that the service has met are protected, from live rows. */
export function createCoverage({ settingsOf, overdueIn }: CoverageOptions) {
  /** The users behind one, by id, as many units as they are asked for. */
  async function* covered(call: Call, behind: string): AsyncIterable<Covered> {
    const { tenantId } = call.caller;
    const settings = await settingsOf(tenantId);
    for (let after = behind; ; ) {
      const found = await call.unit(async (tx) => {
        const ids = await userRepository(tx).list(tenantId, after, STEP);
        const span = { tenantId, after, through: ids.at(-1) ?? "" };
        const held = await heldBy(tx, span, call.now);
        const isOverdue = await overdueIn(tx, span, call.now);
        return ids.map((userId): Covered => {
          const own: Held = held.get(userId) ?? new Map();
          const gaps = gapsOf(own, settings);
          // Only who has no factor can be overdue with one.
          if (gaps.includes("NO_FACTOR") && isOverdue(userId)) gaps.push("OVERDUE");
          return { userId, gaps, types: factors.filter(({ type }) => own.has(type)).map(({ type }) => type) };
        });
      });
      yield* found;
      if (found.length < STEP || call.signal.aborted) return;
      after = found.at(-1)?.userId ?? "";
    }
  }

  const lastVerifyOf = (call: Call, userId: string) =>
    call.unit(async (tx) => {
      const held = await listHeld(tx, { tenantId: call.caller.tenantId, userId }, call.now);
      const times = held.flatMap(({ lastUseTime }) => lastUseTime ?? []);
      return times.reduce<Date | undefined>((last, time) => (last && last > time ? last : time), undefined);
    });

  return {
    /**
     * Lists a page of those with a gap behind a user, by id; no gap lists nobody. The first page counts everybody, too.
     * One behind it looks at ten thousand users at the most, so that it may be short and still not the last.
     */
    async report(call: Call, gap: Gap | undefined, { after, size }: { after: string; size: number }) {
      const counts: Counts | undefined =
        after === "" ? { userCount: 0, enrolledCount: 0, gaps: new Map(), types: new Map() } : undefined;
      const due: Covered[] = [];
      let seen = 0;
      let next: string | undefined;
      for await (const user of covered(call, after)) {
        seen += 1;
        if (counts) count(counts, user);
        if (gap && user.gaps.includes(gap)) {
          if (due.length < size) due.push(user);
          else next ??= due.at(-1)?.userId;
        }
        if (!counts && seen === MOST) next ??= user.userId;
        if (!counts && next !== undefined) break;
      }
      const listed: UserWithGaps[] = [];
      for (const user of due) {
        listed.push({ ...user, lastVerifyTime: await lastVerifyOf(call, user.userId) });
      }
      return { counts, listed, next };
    },
  };
}

/** Reports on how well users are protected. */
export type Coverage = ReturnType<typeof createCoverage>;

import type { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Span } from "../db/span.ts";
import type { Tx } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { factors, listHeld } from "../factors/index.ts";
import type { SettingsOf } from "../tenants/settings.ts";
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
export interface Listed extends Covered {
  readonly lastVerifyTime: Date | undefined;
}

/** What coverage needs to know beside the factors. */
export interface CoverageOptions {
  readonly settingsOf: SettingsOf;
  /** Whether policy demands a factor of a user, and the time for it has run out. */
  readonly isOverdue: (tx: Tx, owner: Owner, now: Date) => Promise<boolean>;
}

/** Users that one unit looks at: others must not wait for a large tenant. */
const STEP = 500;

type Held = Map<Factor["type"], { count: number; remaining: number }>;

async function heldBy(tx: Tx, span: Span, now: Date): Promise<Map<string, Held>> {
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

function gapsOf(held: Held, lowThreshold: number): Gap[] {
  const counting = factors.filter(({ type, counts }) => counts && held.has(type));
  if (counting.length === 0) return ["NO_FACTOR"];
  const gaps: Gap[] = [];
  if (counting.every(({ type }) => type === "SMS")) gaps.push("SMS_ONLY");
  if (counting.reduce((sum, { type }) => sum + (held.get(type)?.count ?? 0), 0) === 1) gaps.push("SINGLE_FACTOR");
  const codes = held.get("BACKUP_CODE");
  if (!codes) gaps.push("NO_BACKUP_CODES");
  else if (codes.remaining <= lowThreshold) gaps.push("LOW_BACKUP_CODES");
  if (!held.has("WEBAUTHN")) gaps.push("NOT_PHISHING_RESISTANT");
  return gaps;
}

/** How well the users of a tenant that the service has met are protected, from live rows. */
export function createCoverage({ settingsOf, isOverdue }: CoverageOptions) {
  async function* covered(call: Call): AsyncIterable<Covered> {
    const { tenantId } = call.caller;
    const { lowThreshold } = (await settingsOf(tenantId)).backupCodes;
    for (let after = ""; ; ) {
      const found = await call.unit(async (tx) => {
        const ids = await userRepository(tx).list(tenantId, after, STEP);
        const held = await heldBy(tx, { tenantId, after, through: ids.at(-1) ?? "" }, call.now);
        const users: Covered[] = [];
        for (const userId of ids) {
          const own: Held = held.get(userId) ?? new Map();
          const gaps = gapsOf(own, lowThreshold);
          // Only who has no factor can be overdue with one.
          if (gaps.includes("NO_FACTOR") && (await isOverdue(tx, { tenantId, userId }, call.now))) gaps.push("OVERDUE");
          users.push({ userId, gaps, types: factors.filter(({ type }) => own.has(type)).map(({ type }) => type) });
        }
        return users;
      });
      yield* found;
      if (found.length < STEP) return;
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
     * Counts everybody, and lists a page of those with a gap, by id, without the first `offset` of them; no gap lists
     * nobody. Who gains or loses the gap between two pages moves the others along.
     */
    async report(call: Call, gap: Gap | undefined, { offset, size }: { offset: number; size: number }) {
      const gaps = new Map<Gap, number>();
      const types = new Map<Factor["type"], number>();
      const due: Covered[] = [];
      let [userCount, enrolledCount, seen] = [0, 0, 0];
      for await (const user of covered(call)) {
        userCount += 1;
        if (!user.gaps.includes("NO_FACTOR")) enrolledCount += 1;
        for (const one of user.gaps) gaps.set(one, (gaps.get(one) ?? 0) + 1);
        for (const type of user.types) types.set(type, (types.get(type) ?? 0) + 1);
        if (!gap || !user.gaps.includes(gap)) continue;
        seen += 1;
        if (seen > offset && due.length < size) due.push(user);
      }
      const listed: Listed[] = [];
      for (const user of due) {
        listed.push({ ...user, lastVerifyTime: await lastVerifyOf(call, user.userId) });
      }
      const next = seen > offset + due.length ? offset + due.length : undefined;
      return { userCount, enrolledCount, gaps, types, listed, next };
    },
  };
}

/** Reports on how well users are protected. */
export type Coverage = ReturnType<typeof createCoverage>;

import type { Call } from "../core/call.ts";
import type { Owner, Tx } from "../db/store.ts";
import { enforcedOf } from "../enforcement/enforcement.ts";
import { lockoutsOf } from "../protection/lockouts.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { trustedSince } from "../trusted-devices/trust-terms.ts";
import { trustedDeviceRepository } from "../trusted-devices/trusted-devices.repository.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Factor, FactorInstance } from "./factor.ts";
import { enrollableBy, factors, type Held, listHeld, primaryAmong } from "./index.ts";

type Recommended = NonNullable<FactorInstance["recommendation"]>;

/** Most urgent first. */
const URGENCY: readonly Recommended[] = [
  "REVIEW_CLONE_WARNING",
  "REVIEW_BACKUP_ELIGIBILITY",
  "ADD_FIRST_FACTOR",
  "REPLACE_SMS",
  "ADD_SECOND_PASSKEY",
  "ADD_SECOND_FACTOR",
  "GENERATE_BACKUP_CODES",
  "CONFIRM_BACKUP_CODES",
  "REPLACE_BACKUP_CODES",
  "ADD_PASSKEY",
];

/** One kind, as far as a user has it. */
export interface KindSummary {
  readonly factor: Factor;
  readonly activeCount: number;
  readonly pending: boolean;
  readonly primary: boolean;
  readonly maskedTargets: readonly string[];
  readonly lastUseTime: Date | undefined;
}

const isOf = (type: Factor["type"]) => (held: { readonly factor: Factor }) => held.factor.type === type;

/** What would make the set better, most urgent first. */
export function recommend(
  held: readonly Held[],
  enrollable: readonly Factor[],
  settings: Pick<EffectiveSettings, "backupCodes">,
): Recommended[] {
  const active = held.filter(({ state }) => state === "ACTIVE");
  const counting = active.filter(({ factor }) => factor.counts);
  const [only, ...others] = counting;
  const found = new Set(active.flatMap(({ recommendation }) => recommendation ?? []));
  if (!only) found.add("ADD_FIRST_FACTOR");
  else if (others.length === 0) found.add(only.deviceBound ? "ADD_SECOND_PASSKEY" : "ADD_SECOND_FACTOR");
  for (const factor of only ? factors : []) {
    const isOwn = isOf(factor.type);
    const share = { has: active.some(isOwn), isOnly: counting.every(isOwn), enrollable: enrollable.includes(factor) };
    const recommended = factor.recommend?.(share, settings);
    if (recommended) found.add(recommended);
  }
  return URGENCY.filter((recommendation) => found.has(recommendation));
}

const newest = (times: readonly (Date | null)[]): Date | undefined =>
  times.reduce<Date | undefined>((last, time) => (time && (!last || time > last) ? time : last), undefined);

function summarise(factor: Factor, held: readonly Held[], primary: Held | undefined): KindSummary {
  const own = held.filter(isOf(factor.type));
  const active = own.filter(({ state }) => state === "ACTIVE");
  return {
    factor,
    activeCount: active.reduce((sum, { remainingUses = 1 }) => sum + remainingUses, 0),
    pending: own.some(({ state }) => state === "PENDING"),
    primary: primary?.factor.type === factor.type,
    maskedTargets: active.flatMap(({ maskedTarget }) => maskedTarget || []),
    lastUseTime: newest(own.map(({ lastUseTime }) => lastUseTime)),
  };
}

/** A user's second factors at a glance, from live rows: the same shape for users that are not known. */
export async function statusOf(tx: Tx, { now }: Pick<Call, "now">, owner: Owner, settings: EffectiveSettings) {
  const user = await userRepository(tx).find(owner);
  const epoch = user?.mfaEpoch ?? 0;
  const held = await listHeld(tx, owner, now);
  const primary = primaryAmong(held, user?.primaryFactorId);
  const enrollable = enrollableBy(held, settings);
  const summaries = factors.map((factor) => summarise(factor, held, primary));
  return {
    held,
    primary,
    enrolled: held.some(({ factor, state }) => factor.counts && state === "ACTIVE"),
    kinds: summaries.filter(({ activeCount, pending }) => activeCount > 0 || pending),
    enrollable,
    lockouts: await lockoutsOf(tx, owner, now),
    rules: await enforcedOf(tx, owner, now),
    mfaEpoch: epoch,
    trustedDevices: await trustedDeviceRepository(tx).countStanding({
      ...{ ...owner, epoch, now },
      since: trustedSince(settings, now),
    }),
    recommendations: recommend(held, enrollable, settings),
  };
}

/** What `statusOf` answers. */
export type Status = Awaited<ReturnType<typeof statusOf>>;

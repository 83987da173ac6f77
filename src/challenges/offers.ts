import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type Held, listHeld, primaryAmong } from "../factors/index.ts";
import { isUsable, type Strength } from "../factors/strength.ts";
import { type Lockout, lockoutsFrom } from "../protection/lockouts.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { demandsNow } from "./actions.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import type { Offer, TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { notAllowed } from "./refusals.ts";

/** A factor with its kind's name. */
type Kind = { readonly type: TypeName };

/** A passkey whose flags changed is refused until an administrator accepts it, so others are offered before it. */
const isRefused = ({ recommendation }: Held) => recommendation === "REVIEW_BACKUP_ELIGIBILITY";

/** Strongest kind first; within a kind the last used first; those refused for their flags last. */
const byUse = (held: readonly Held[]): Held[] =>
  [...Map.groupBy(held, ({ factor }) => factor).values()]
    .flatMap((kind) => kind.toSorted((a, b) => (b.lastUseTime?.getTime() ?? 0) - (a.lastUseTime?.getTime() ?? 0)))
    .toSorted((a, b) => Number(isRefused(a)) - Number(isRefused(b)));

/** The kinds that can be proved and are not locked. */
export const openKinds = <K extends Kind>({ provers }: Registry, kinds: readonly K[], lockouts: readonly Lockout[]) =>
  kinds.filter(({ type }) => {
    const prover = provers.find((one) => one.type === type);
    return prover !== undefined && !lockouts.some(({ counter }) => counter === prover.counter);
  });

/** Returns the offers: the user's factors that are eligible. */
export function offersOf(
  held: readonly Held[],
  kinds: readonly Kind[],
  {
    strength,
    settings,
    primaryId,
  }: { readonly strength: Strength; readonly settings: EffectiveSettings; readonly primaryId: string | undefined },
): Offer[] {
  // Only one of several proofs must be device-bound, so do not offer a synced passkey in its place.
  const isWeak = ({ factor, deviceBound }: Held) =>
    strength === "DEVICE_BOUND" && factor.canBeDeviceBound && !deviceBound;
  const usable = held.filter((one) => isUsable(one, settings));
  const offered = usable.filter((one) => kinds.some(({ type }) => type === one.factor.type) && !isWeak(one));
  const primary = primaryAmong(usable, primaryId)?.factorId ?? "";
  return byUse(offered).map(({ factorId, displayName, maskedTarget, verifiesUser = false, factor: { type } }) => ({
    ...{ factorId, displayName, maskedTarget, type },
    primary: factorId === primary,
    passkeyAlone: verifiesUser && settings.webauthn.passkeyAlone,
  }));
}

/** Returns the LOCKED refusal for users all of whose kinds are locked, until the first lock ends. */
function lockedOf({ provers }: Registry, kinds: readonly Kind[], lockouts: readonly Lockout[], now: Date) {
  const counters = provers.filter(({ type }) => kinds.some((kind) => kind.type === type)).map(({ counter }) => counter);
  const [first] = lockouts
    .filter(({ counter }) => counters.includes(counter))
    .toSorted((a, b) => Number(a.unlockTime ?? Infinity) - Number(b.unlockTime ?? Infinity));
  const wait = first?.unlockTime && { retryAfterMs: first.unlockTime.getTime() - now.getTime() };
  return first && new Refusal("LOCKED", wait);
}

/** Returns the offers of a new challenge, or the refusal. Backends are not told which factor a user lacks. */
export async function findOffers(
  registry: Registry,
  tx: Tx,
  call: Call,
  owner: Owner,
  { row, settings }: { readonly row: ChallengeRow; readonly settings: EffectiveSettings },
): Promise<{ offers: Offer[]; mfaEpoch: number } | Refusal> {
  const kinds = eligible(registry, demandsNow(row, settings), settings);
  if (kinds.length === 0) return notAllowed([]);
  const lockouts = await lockoutsFrom(tx, owner, call.now);
  const open = openKinds(registry, kinds, lockouts);
  const locked = lockedOf(registry, kinds, lockouts, call.now);
  if (open.length === 0 && locked) return locked;
  const user = await userRepository(tx).find(owner);
  const held = await listHeld(tx, owner, call.now);
  const offers = offersOf(held, open, { strength: row.strength, settings, primaryId: user?.primaryFactorId });
  // Passkeys stay usable while codes are locked; users without one are refused with LOCKED, known or not.
  if (offers.length === 0 && locked) return locked;
  if (offers.length === 0 && call.caller.principal !== Principal.SERVICE) {
    return held.some(({ state }) => state === "ACTIVE") ? notAllowed(kinds) : new Refusal("NOT_ENROLLED");
  }
  return { offers, mfaEpoch: user?.mfaEpoch ?? 0 };
}

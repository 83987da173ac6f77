import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { type Held, listHeld, primaryAmong } from "../factors/index.ts";
import type { Strength } from "../factors/strength.ts";
import { type Lockout, lockoutsOf } from "../protection/lockouts.ts";
import type { Settings } from "../tenants/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { demandsNow } from "./actions.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import type { Offer, TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { notAllowed } from "./refusals.ts";

/** A kind of factor, as far as its name goes. */
type Kind = { readonly type: TypeName };

/** Strongest kind first, as they come; within a kind the last used first. */
const byUse = (held: readonly Held[]): Held[] =>
  [...Map.groupBy(held, ({ factor }) => factor).values()].flatMap((kind) =>
    kind.toSorted((a, b) => (b.lastUseTime?.getTime() ?? 0) - (a.lastUseTime?.getTime() ?? 0)),
  );

/** The kinds that can be proved and whose attempts are not stopped. */
export const openKinds = <K extends Kind>({ provers }: Registry, kinds: readonly K[], lockouts: readonly Lockout[]) =>
  kinds.filter(({ type }) => {
    const prover = provers.find((one) => one.type === type);
    return prover !== undefined && !lockouts.some(({ counter }) => counter === prover.counter);
  });

/** Which of what a user holds will do, as it is offered. */
export function offersOf(
  held: readonly Held[],
  kinds: readonly Kind[],
  {
    strength,
    settings,
    primaryId,
  }: { readonly strength: Strength; readonly settings: Settings; readonly primaryId: string | undefined },
): Offer[] {
  // Of several proofs one is to be that strong; a key that is not bound to its device would take the place of one that is.
  const isWeak = ({ factor, deviceBound }: Held) =>
    strength === "DEVICE_BOUND" && factor.type === "WEBAUTHN" && !deviceBound;
  const usable = held
    .filter(({ state, remainingUses }) => state === "ACTIVE" && remainingUses !== 0)
    .filter((one) => kinds.some(({ type }) => type === one.factor.type) && !isWeak(one));
  const primary = primaryAmong(held, primaryId)?.factorId ?? "";
  return byUse(usable).map(({ factorId, displayName, maskedTarget, verifiesUser = false, factor: { type } }) => ({
    ...{ factorId, displayName, maskedTarget, type },
    primary: factorId === primary,
    passkeyAlone: verifiesUser && settings.webauthn.passkeyAlone,
  }));
}

/** The refusal for who has nothing but kinds whose attempts are stopped: until the first may be tried again. */
function lockedOf({ provers }: Registry, kinds: readonly Kind[], lockouts: readonly Lockout[], now: Date) {
  const counters = provers.filter(({ type }) => kinds.some((kind) => kind.type === type)).map(({ counter }) => counter);
  const [first] = lockouts
    .filter(({ counter }) => counters.includes(counter))
    .toSorted((a, b) => Number(a.unlockTime ?? Infinity) - Number(b.unlockTime ?? Infinity));
  const wait = first?.unlockTime && { retryAfterMs: first.unlockTime.getTime() - now.getTime() };
  return first && new Refusal("LOCKED", wait);
}

/** What is offered for a new challenge, or why nothing can be; of users, backends are not told what they lack. */
export async function findOffers(
  registry: Registry,
  tx: Tx,
  call: Call,
  owner: Owner,
  { row, settings }: { readonly row: ChallengeRow; readonly settings: Settings },
): Promise<{ offers: Offer[]; mfaEpoch: number } | Refusal> {
  const kinds = eligible(registry, demandsNow(row, settings), settings);
  if (kinds.length === 0) return notAllowed([]);
  const lockouts = await lockoutsOf(tx, owner, call.now);
  const open = openKinds(registry, kinds, lockouts);
  const locked = lockedOf(registry, kinds, lockouts, call.now);
  if (open.length === 0 && locked) return locked;
  const user = await userRepository(tx).find(owner);
  const held = await listHeld(tx, owner, call.now);
  const offers = offersOf(held, open, { strength: row.strength, settings, primaryId: user?.primaryFactorId });
  // Passkeys stay usable while codes are locked, by who has one; whoever has none is told to wait, known or not.
  if (offers.length === 0 && locked) return locked;
  if (offers.length === 0 && call.caller.principal !== Principal.SERVICE) {
    return held.some(({ state }) => state === "ACTIVE") ? notAllowed(kinds) : new Refusal("NOT_ENROLLED");
  }
  return { offers, mfaEpoch: user?.mfaEpoch ?? 0 };
}

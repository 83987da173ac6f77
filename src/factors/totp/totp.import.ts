import { durationMs } from "@bufbuild/protobuf/wkt";
import { TotpAlgorithm } from "../../../gen/mfa/v1/totp_pb.js";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import { createTurns } from "../../core/turns.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Tx } from "../../db/store.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { type Brought, COOLING, type ImportKind, type ToBring } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import { cellOf, MAX_DRIFT } from "./totp-judge.ts";

/** Longer than an enrollment waits: nobody is told that a code is awaited. */
const PENDING_MS = 30 * 24 * 3600 * 1000;

/** So many secrets are sealed and compared before others have their turn. */
const SEALED_AT_ONCE = 16;

const algorithms = {
  [TotpAlgorithm.UNSPECIFIED]: "sha1",
  [TotpAlgorithm.SHA1]: "sha1",
  [TotpAlgorithm.SHA256]: "sha256",
  [TotpAlgorithm.SHA512]: "sha512",
} as const;

/** A row to be written; the id of the one that has the secret already; why it cannot be imported. */
type Plan = { readonly row: TotpDeviceRow } | { readonly twin: string } | { readonly reason: string };

const usersOf = (given: readonly ToBring[]) => [...new Set(given.map(({ owner }) => owner.userId))];

/** What an app is to be, before its secret is sealed; why it cannot be. */
function readApp(call: Call, { owner, kind, displayName, unverified }: ToBring) {
  if (kind.case !== "totp") return "no authenticator app";
  const { algorithm, digits, period, lastStep } = kind.value;
  const periodSeconds = period ? durationMs(period) / 1000 : 30;
  // No code of it would be newer than the last one that was spent: a time in seconds is not a step.
  if (Number(lastStep) > Math.floor(call.now.getTime() / 1000 / periodSeconds) + MAX_DRIFT)
    return "totp.last_step: a step of the future, so no code would be taken; it is the Unix time divided by the period";
  const bare: Omit<TotpDeviceRow, "sealedSecret"> = {
    ...owner,
    deviceId: newId(),
    displayName: displayName || "Authenticator app",
    state: unverified ? "pending" : "active",
    algorithm: algorithms[algorithm],
    digits: digits === 8 ? 8 : 6,
    periodSeconds,
    lastStep: Number(lastStep),
    driftSteps: 0,
    driftHint: 0,
    replacesDeviceId: "",
    version: 1,
    createTime: call.now,
    updateTime: call.now,
    lastUseTime: null,
    expireTime: unverified ? new Date(call.now.getTime() + PENDING_MS) : null,
  };
  return { bare, secret: Buffer.from(kind.value.secret) };
}

/** Seals the secrets of apps, and finds out which are there already, or twice in the call. */
function planning(call: Call, keyring: Keyring, known: readonly TotpDeviceRow[]) {
  const byUser = Map.groupBy(known, ({ userId }) => userId);
  const came = new Map<string, { deviceId: string; secret: Buffer }[]>();
  /** Whether a device has this secret. One whose secret cannot be opened is taken for another: it keeps nobody out. */
  const holds = async (device: TotpDeviceRow, secret: Buffer): Promise<boolean> => {
    const held = await keyring.open(device.sealedSecret, cellOf(device, device.deviceId)).catch(() => undefined);
    const isEqual = held?.equals(secret) ?? false;
    held?.fill(0);
    return isEqual;
  };
  return async (one: ToBring): Promise<Plan> => {
    const read = readApp(call, one);
    if (typeof read === "string") return { reason: read };
    const { bare, secret } = read;
    const own = came.get(bare.userId) ?? [];
    const twin = own.find((other) => other.secret.equals(secret));
    if (twin) return { twin: twin.deviceId };
    for (const device of byUser.get(bare.userId) ?? [])
      if (await holds(device, secret)) return { twin: device.deviceId };
    came.set(bare.userId, [...own, { deviceId: bare.deviceId, secret }]);
    return { row: { ...bare, sealedSecret: await keyring.seal(secret, cellOf(one.owner, bare.deviceId)) } };
  };
}

/** What the users have, and how the plans change it: nothing is written until all is decided. */
class Deciding {
  readonly rows: TotpDeviceRow[] = [];
  readonly gone: (Owner & { deviceId: string })[] = [];
  readonly #usable: Map<string, TotpDeviceRow[]>;
  readonly #outcomes = new Map<string, Brought>();
  readonly #waiting = new Set<string>();
  readonly #terms: { replace: boolean; maxDevices: number };

  constructor(usable: readonly TotpDeviceRow[], terms: { replace: boolean; maxDevices: number }) {
    this.#usable = Map.groupBy(usable, ({ userId }) => userId);
    this.#terms = terms;
  }

  decide(plan: Plan): Brought {
    if ("reason" in plan) return plan.reason;
    if ("row" in plan) return this.#bring(plan.row);
    const first = this.#outcomes.get(plan.twin);
    // Where its twin of the same call was refused, it is for the same reason.
    if (typeof first === "string") return first;
    return { status: "SKIPPED", factorId: plan.twin, active: true, counts: true };
  }

  #bring(row: TotpDeviceRow): Brought {
    const outcome = this.#place(row);
    this.#outcomes.set(row.deviceId, outcome);
    if (typeof outcome !== "string") this.rows.push(row);
    return outcome;
  }

  #place(row: TotpDeviceRow): Brought {
    const { userId, deviceId, state } = row;
    const { replace, maxDevices } = this.#terms;
    const own = this.#usable.get(userId) ?? [];
    // Of one call none takes the place of another, and nothing takes one before it is proven.
    const isOlder = (one: TotpDeviceRow) => one.state === "active" && !this.rows.includes(one);
    const gone = replace && state === "active" ? own.filter(isOlder) : [];
    if (own.length - gone.length >= maxDevices) return "as many apps as allowed are enrolled";
    if (state === "pending" && this.#waiting.has(userId)) return "another app of the user waits to be proven";
    if (state === "pending") this.#waiting.add(userId);
    this.gone.push(...gone);
    const kept = own.filter((one) => !gone.includes(one));
    this.#usable.set(userId, state === "active" ? [...kept, row] : kept);
    return {
      status: gone.length > 0 ? "REPLACED" : "IMPORTED",
      factorId: deviceId,
      active: state === "active",
      counts: true,
    };
  }

  /** The users whose pending app gives way to one that waits. */
  get waiting(): string[] {
    return [...this.#waiting];
  }
}

/** Authenticator apps of other systems: with the last step that was spent there, so that it is spent here too. */
export const totpImport = ({
  keyring,
  settingsOf,
}: {
  keyring: Keyring;
  settingsOf: SettingsOf;
}): ImportKind<"totp"> => ({
  takes: "totp",
  type: "TOTP",
  async prepare(call, given, { replace }) {
    const { tenantId } = call.caller;
    const users = { tenantId, userIds: usersOf(given) };
    const { maxDevices } = (await settingsOf(tenantId)).totp;
    const known = await call.read((tx) => totpRepository(tx).listUsableOf(users));
    const isActive = ({ state }: TotpDeviceRow) => state === "active";
    const plan = planning(call, keyring, known.filter(isActive));
    const plans: Plan[] = [];
    const turn = createTurns(SEALED_AT_ONCE);
    for (const one of given) {
      plans.push(await plan(one));
      await turn();
    }
    const compared = new Set(known.filter(isActive).map(({ deviceId }) => deviceId));
    return async (tx: Tx, cooling) => {
      const devices = totpRepository(tx);
      const usable = await devices.listUsableOf(users);
      // Nobody has compared their secrets with those that come.
      if (usable.some((one) => isActive(one) && !compared.has(one.deviceId))) throw new Refusal("CONFLICT");
      const deciding = new Deciding(usable, { replace, maxDevices });
      const outcomes = plans.map((one, n) =>
        cooling.has(given[n]?.owner.userId ?? "") ? COOLING : deciding.decide(one),
      );
      for (const { userId, deviceId } of deciding.gone) await devices.revoke({ tenantId, userId, deviceId }, call.now);
      await devices.deletePendingOf({ tenantId, userIds: deciding.waiting });
      await devices.insertAll(deciding.rows);
      return outcomes;
    };
  },
});

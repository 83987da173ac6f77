import { WebAuthnTransport } from "../../../gen/mfa/v1/webauthn_pb.js";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { EffectiveSettings, SettingsOf } from "../../tenant-settings/settings.ts";
import { type Brought, COOLING, type ImportKind, type ToBring } from "../factor.ts";
import { defaultUserName } from "./ceremony-options.ts";
import { algorithmOf } from "./cose-key.ts";
import { macOf } from "./row-mac.ts";
import { type CredentialRow, type WebAuthnUserRow, webauthnRepository } from "./webauthn.repository.ts";

/** The algorithm of a key; undefined for one that is none, or none that is offered. */
function readAlgorithm(publicKey: Uint8Array): number | undefined {
  try {
    return algorithmOf(publicKey);
  } catch {
    return undefined;
  }
}

/** A row to be written, with its user's handle; why there is none. */
type Plan = { readonly row: CredentialRow; readonly userHandle: Buffer } | string;

/** What a credential is to be; why it cannot be. */
function planOf(
  call: Call,
  keyring: Keyring,
  { webauthn }: EffectiveSettings,
  { owner, kind, displayName, unverified }: ToBring,
): Plan {
  if (kind.case !== "webauthn") return "no credential";
  if (unverified) return "only authenticator apps can wait to be proven: have the user register it";
  const given = kind.value;
  if (!webauthn.rpIds.includes(given.rpId)) return "the tenant has no such relying party";
  const algorithm = readAlgorithm(given.publicKey);
  if (algorithm === undefined) return "the key is none that is offered";
  const bare: Omit<CredentialRow, "rowMac"> = {
    ...owner,
    credentialId: newId(),
    webauthnId: Buffer.from(given.webauthnId),
    rpId: given.rpId,
    publicKey: Buffer.from(given.publicKey),
    algorithm,
    counter: Number(given.signCount),
    userVerified: false,
    backupEligible: given.backupEligible ?? false,
    // What the old system never kept is unknown, not "no".
    backupKnown: given.backupEligible !== undefined,
    eligibilityChanged: false,
    backedUp: (given.backupEligible ?? false) && given.backedUp,
    transports: given.transports.map((one) => (WebAuthnTransport[one] ?? "").toLowerCase().replaceAll("_", "-")),
    attachment: "",
    discoverable: given.discoverable,
    aaguid: given.aaguid || "00000000-0000-0000-0000-000000000000",
    attested: false,
    attestationFormat: "none",
    cloneWarning: false,
    displayName: displayName || "Passkey",
    version: 1,
    createTime: call.now,
    updateTime: call.now,
    lastUseTime: null,
  };
  const row: CredentialRow = { ...bare, rowMac: macOf(keyring, bare) };
  return { row, userHandle: Buffer.from(given.webauthnUserId, "base64url") };
}

/** What the users have, and how the plans change it: nothing is written until all is decided. */
class Deciding {
  readonly rows: CredentialRow[] = [];
  readonly gone: CredentialRow[] = [];
  readonly users: WebAuthnUserRow[] = [];
  readonly #held: Map<string, CredentialRow[]>;
  readonly #handles: Map<string, Buffer>;
  readonly #taken: Set<string>;
  readonly #terms: { replace: boolean; maxCredentials: number; before: ReadonlySet<string> };

  constructor(
    found: {
      held: readonly CredentialRow[];
      users: readonly WebAuthnUserRow[];
      taken: readonly CredentialRow[];
    },
    terms: { replace: boolean; maxCredentials: number; before: ReadonlySet<string> },
  ) {
    this.#held = Map.groupBy(found.held, ({ userId }) => userId);
    this.#handles = new Map(found.users.map(({ userId, userHandle }) => [userId, userHandle]));
    this.#taken = new Set(found.taken.map(({ webauthnId }) => webauthnId.toString("base64")));
    this.#terms = terms;
  }

  decide(plan: Plan): Brought {
    if (typeof plan === "string") return plan;
    const { row, userHandle } = plan;
    const { replace, maxCredentials, before } = this.#terms;
    const held = this.#held.get(row.userId) ?? [];
    const equal = held.find(({ webauthnId }) => webauthnId.equals(row.webauthnId));
    if (equal) return { status: "SKIPPED", factorId: equal.credentialId, active: true, counts: true };
    // The handle is inside of discoverable passkeys: a user has one.
    const handle = this.#handles.get(row.userId);
    if (handle && !handle.equals(userHandle)) return "the user has another handle here";
    // Of one call none takes the place of another.
    const older = replace ? held.filter(({ credentialId }) => before.has(credentialId)) : [];
    if (held.length - older.length >= maxCredentials) return "as many as allowed are registered already";
    const id = row.webauthnId.toString("base64");
    if (this.#taken.has(id)) return "it is registered with somebody already";
    this.#taken.add(id);
    const { tenantId, userId, createTime } = row;
    if (!handle) this.users.push({ tenantId, userId, userHandle, userName: defaultUserName(userId), createTime });
    this.#handles.set(userId, userHandle);
    this.#held.set(userId, [...held.filter((one) => !older.includes(one)), row]);
    this.rows.push(row);
    this.gone.push(...older);
    return {
      status: older.length > 0 ? "REPLACED" : "IMPORTED",
      factorId: row.credentialId,
      active: true,
      counts: true,
    };
  }
}

/**
 * Passkeys and security keys of the same relying party. That they verified their user nobody has seen here, so that is
 * not believed of them; nor is any attestation.
 */
export const webauthnImport = ({
  keyring,
  settingsOf,
}: {
  keyring: Keyring;
  settingsOf: SettingsOf;
}): ImportKind<"webauthn"> => ({
  takes: "webauthn",
  type: "WEBAUTHN",
  async prepare(call, given, { replace }) {
    const { tenantId } = call.caller;
    const settings = await settingsOf(tenantId);
    const { maxCredentials } = settings.webauthn;
    const plans = given.map((one) => planOf(call, keyring, settings, one));
    const users = { tenantId, userIds: [...new Set(given.map(({ owner }) => owner.userId))] };
    const known = await call.read((tx) => webauthnRepository(tx).listOf(users));
    const before = new Set(known.map(({ credentialId }) => credentialId));
    return async (tx, cooling) => {
      const credentials = webauthnRepository(tx);
      const ids = plans.flatMap((plan) => (typeof plan === "string" ? [] : [plan.row.webauthnId]));
      const found = {
        held: await credentials.listOf(users),
        users: await credentials.listUsersOf(users),
        taken: await credentials.listByWebauthnId(ids),
      };
      const deciding = new Deciding(found, { replace, maxCredentials, before });
      const outcomes = plans.map((plan, n) =>
        cooling.has(given[n]?.owner.userId ?? "") ? COOLING : deciding.decide(plan),
      );
      // Somebody else registered one of them a moment ago.
      if ((await credentials.insertAll(deciding.rows)) < deciding.rows.length) throw new Refusal("CONFLICT");
      await credentials.claimUsers(deciding.users);
      for (const { userId, credentialId } of deciding.gone)
        await credentials.delete({ tenantId, userId, credentialId });
      return outcomes;
    };
  },
});

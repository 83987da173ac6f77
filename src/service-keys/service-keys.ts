import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { parseIpRange } from "../core/ip-address.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { newServiceKey, shownOf } from "../crypto/service-key.ts";
import type { Tx } from "../db/store.ts";
import { type ServiceKeyRow, serviceKeyRepository } from "./service-keys.repository.ts";

/** Dependencies of the service keys. */
export interface ServiceKeyOptions {
  readonly keyring: Pick<Keyring, "digest">;
  /** The scopes that a key can have: those that RPCs of backends need. */
  readonly scopes: ReadonlySet<string>;
}

/** What an administrator says of a new key. */
export interface StatedKey extends Pick<ServiceKeyRow, "service" | "scopes" | "networks"> {
  readonly lifetimeMs: number;
  readonly reason: string;
}

/** Purpose of the digests of secrets. */
export const DIGEST = "service-key/v1";
const MAX_KEYS = 100;

/** Where a key stands at `now`. */
export function standingOf({ revokeTime, expireTime }: ServiceKeyRow, now: Date): "ACTIVE" | "EXPIRED" | "REVOKED" {
  if (revokeTime !== null) return "REVOKED";
  return expireTime <= now ? "EXPIRED" : "ACTIVE";
}

const invalid = (field: string) => new Refusal("INVALID_FIELD", { metadata: { field } });

const record = (tx: Tx, call: Call, verb: string, key: ServiceKeyRow, reason: string) => {
  const { service, scopes, networks, expireTime } = key;
  const shown = { service, scopes, networks, expireTime: expireTime.toISOString() };
  const state = verb === "created" ? { after: shown } : { before: shown };
  const owner = { tenantId: key.tenantId, userId: "" };
  return recordAudit(tx, call, { owner, action: `service_key.${verb}`, targetId: key.keyId, reason, ...state });
};

/** The service keys of tenants, as administrators keep them. */
export function createServiceKeys({ keyring, scopes: known }: ServiceKeyOptions) {
  return {
    /** Creates a key. Returns it with its secret, which nobody can read again; or the refusal. */
    async create(call: Call, { lifetimeMs, reason, ...stated }: StatedKey) {
      const { tenantId, scopes: held } = call.caller;
      if (stated.scopes.some((scope) => !known.has(scope))) return invalid("scopes");
      // Nobody gives away more than they have themselves.
      if (stated.scopes.some((scope) => !held.has(scope))) return new Refusal("ACCESS_DENIED");
      if (stated.networks.some((network) => parseIpRange(network) === undefined)) return invalid("networks");
      const secret = newServiceKey();
      const row: ServiceKeyRow = {
        ...{ tenantId, keyId: newId(), ...stated },
        ...{ digest: keyring.digest(DIGEST, secret), secretPrefix: shownOf(secret) },
        ...{ createTime: call.now, expireTime: new Date(call.now.getTime() + lifetimeMs) },
        ...{ revokeTime: null, lastUseTime: null },
      };
      return call.unit(async (tx) => {
        const keys = serviceKeyRepository(tx);
        // First, as from here on no other unit of the tenant adds one: the count holds.
        await record(tx, call, "created", row, reason);
        const active = (await keys.list(tenantId)).filter((key) => standingOf(key, call.now) === "ACTIVE");
        if (active.length >= MAX_KEYS) throw new Refusal("LIMIT_REACHED");
        await keys.insert(row);
        return { row, secret };
      });
    },

    /** Revokes a key; one that has ended stays as it is. Returns NOT_FOUND for a key of another tenant. */
    revoke: (call: Call, keyId: string, reason: string): Promise<ServiceKeyRow | Refusal> =>
      call.unit(async (tx) => {
        const keys = serviceKeyRepository(tx);
        const id = { tenantId: call.caller.tenantId, keyId };
        await keys.revoke(id, call.now);
        const row = await keys.find(id);
        if (!row) return new Refusal("NOT_FOUND");
        await record(tx, call, "revoked", row, reason);
        return row;
      }),
  };
}

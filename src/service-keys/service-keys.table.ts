import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** The keys by which backends without an identity provider call. Of the secret only a digest is kept. */
export const serviceKeys = (d: Dialect) =>
  d.table(
    "service_keys",
    {
      tenantId: d.text("tenant_id").notNull(),
      keyId: d.text("key_id").notNull(),
      /** By the keyring, so that who reads the table holds no key. */
      digest: d.bytes("digest").notNull(),
      /** How the secret begins. */
      secretPrefix: d.text("secret_prefix").notNull(),
      /** What the backend is called. */
      service: d.text("service").notNull(),
      scopes: d.json<readonly string[]>("scopes").notNull(),
      /** From where it is accepted, in CIDR notation; from everywhere if empty. */
      networks: d.json<readonly string[]>("networks").notNull(),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      revokeTime: d.instant("revoke_time"),
      /** Written when it is an hour old: a call costs no write. */
      lastUseTime: d.instant("last_use_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.keyId] }),
      // Nobody says whose a key is but the key.
      d.uniqueIndex("service_keys_digest").on(t.digest),
      d.index("service_keys_by_end").on(t.expireTime),
    ],
  );

bindRows(
  serviceKeys,
  ["tenantId", "keyId", "digest", "secretPrefix", "service", "scopes", "networks", "createTime", "expireTime"],
  {
    revokeTime: "back to null it is the row's earlier state",
    lastUseTime: "only shown",
  },
  { broken: "absent" },
);

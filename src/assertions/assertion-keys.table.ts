import type { Dialect } from "../db/dialect.ts";

/** The keys that statements for others are signed with. Of the installation, not of a tenant. */
export const assertionKeys = (d: Dialect) =>
  d.table(
    "assertion_keys",
    {
      /** Counts up from 1; each key takes over from the one before. */
      sequence: d.integer("sequence").notNull(),
      /** RFC 7638 thumbprint, by which verifiers find the key; the private half is sealed for it. */
      keyId: d.text("key_id").notNull(),
      algorithm: d.text("algorithm").$type<"EdDSA" | "ES256">().notNull(),
      /** The public half (RFC 7517), to look at: what is published is worked out from the private half. */
      publicKey: d.json<Readonly<Record<string, string>>>("public_key").notNull(),
      /** PKCS #8, sealed. */
      sealedPrivateKey: d.bytes("sealed_private_key").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** From then on it signs; published long before. */
      useTime: d.instant("use_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.sequence] })],
  );

import { sign, verify } from "node:crypto";
import type { Keyring } from "../crypto/keyring.ts";
import type { Tx } from "../db/store.ts";
import { type AuditCheckpointRow, auditCheckpointRepository } from "./audit-checkpoints.repository.ts";
import type { AuditHeadRow } from "./audit-heads.repository.ts";

/** The derivation label of checkpoint keys. */
export const CHECKPOINT_KEYS = "audit-checkpoint";

const TYPE = "audit-checkpoint+jwt";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function decode(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Makes a checkpoint, to be kept outside of the database: the head of a chain as a JWT (RFC 7515, EdDSA). */
export function stateHead(keyring: Keyring, head: Omit<AuditCheckpointRow, "token">): AuditCheckpointRow {
  const [{ kid, privateKey }] = keyring.signingKeys(CHECKPOINT_KEYS);
  const { tenantId, sequence, hash, createTime } = head;
  const iat = Math.floor(createTime.getTime() / 1000);
  const claims = { tid: tenantId, seq: sequence, hash: hash.toString("base64url"), iat };
  const signed = `${encode({ alg: "EdDSA", typ: TYPE, kid })}.${encode(claims)}`;
  const signature = sign(null, Buffer.from(signed), privateKey).toString("base64url");
  return { ...head, token: `${signed}.${signature}` };
}

/** What a checkpoint states; undefined when it is not one of ours for this tenant. */
export function readCheckpoint(keyring: Keyring, tenantId: string, token: string): AuditCheckpointRow | undefined {
  const [header = "", payload = "", signature = "", ...rest] = token.split(".");
  const { alg, typ, kid } = decode(header);
  const key = keyring.signingKeys(CHECKPOINT_KEYS).find((candidate) => candidate.kid === kid);
  if (rest.length > 0 || alg !== "EdDSA" || typ !== TYPE || !key) return undefined;
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify(null, signed, key.publicKey, Buffer.from(signature, "base64url"))) return undefined;
  const { tid, seq, hash, iat } = decode(payload);
  if (tid !== tenantId || typeof seq !== "number" || typeof hash !== "string" || typeof iat !== "number")
    return undefined;
  const createTime = new Date(iat * 1000);
  return { tenantId, sequence: seq, hash: Buffer.from(hash, "base64url"), token, createTime };
}

/** Keeps a checkpoint of where a chain stands, unless there is one of that place. */
export async function takeCheckpoint(tx: Tx, keyring: Keyring, head: AuditHeadRow, now: Date): Promise<boolean> {
  const { tenantId, sequence, hash } = head;
  return auditCheckpointRepository(tx).insert(stateHead(keyring, { tenantId, sequence, hash, createTime: now }));
}

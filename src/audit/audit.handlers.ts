import { create, type JsonObject, toJsonString } from "@bufbuild/protobuf";
import { TimestampSchema, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuditEntrySchema, type AuditFilter, AuditOrder, AuditOutcome } from "../../gen/mfa/v1/audit_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import { createTurnTaking } from "../core/turn-taking.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { START } from "../db/page.ts";
import { type AuditOptions, createAudit, type Filter } from "./audit.ts";
import type { AuditCheckpointRow } from "./audit-checkpoints.repository.ts";
import type { AuditEntryRow } from "./audit-entries.repository.ts";

/** The default time range: every entry lies inside it. */
const EVER = [create(TimestampSchema), create(TimestampSchema, { seconds: 253_370_764_800n })] as const;
const MAX_PART_BYTES = 32 * 1024;

const actors: Record<string, string> = { USER: "user", ADMIN: "administrator", SERVICE: "backend", DEVICE: "device" };

const endings: Record<string, string> = { DENIED: "denied to", FAILED: "failed for" };

/** "ip_whitelist_entry.created" by root: "Ip whitelist entry created by administrator root." */
function sentence({ action, actorType, actorId, outcome, targetId }: AuditEntryRow): string {
  const words = action.replaceAll(/[._]/g, " ");
  const actor = actorId === "" ? "the service" : `${actors[actorType] ?? "caller"} ${actorId}`;
  const ending = endings[outcome];
  if (ending) return `${targetId} ${ending} ${actor}.`;
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)} by ${actor}.`;
}

const toProto = (row: AuditEntryRow) =>
  create(AuditEntrySchema, {
    entryId: row.entryId,
    sequence: BigInt(row.sequence ?? 0),
    action: row.action,
    module: row.module,
    targetType: row.targetType,
    targetId: row.targetId,
    userId: row.userId,
    actorType: Principal[row.actorType as keyof typeof Principal],
    operatorId: row.actorId,
    ip: row.ip,
    rpc: row.rpc,
    callId: row.callId,
    outcome: AuditOutcome[row.outcome as keyof typeof AuditOutcome],
    reason: row.reason,
    message: sentence(row),
    ...(row.before && { before: row.before as JsonObject }),
    ...(row.after && { after: row.after as JsonObject }),
    hash: row.hash ?? new Uint8Array(),
    createTime: timestampFromDate(row.createTime),
  });

const toCheckpoint = ({ sequence, hash, token, createTime }: AuditCheckpointRow) => ({
  sequence: BigInt(sequence),
  hash,
  token,
  createTime: timestampFromDate(createTime),
});

function toFilter(filter: AuditFilter | undefined): Filter {
  const action = filter?.action ?? "";
  const isPrefix = action.endsWith(".");
  const outcome = filter?.outcome ?? AuditOutcome.UNSPECIFIED;
  return {
    action: isPrefix ? "" : action,
    actionLike: isPrefix ? `${action.replaceAll("_", "\\_")}%` : "",
    module: filter?.module ?? "",
    targetType: filter?.targetType ?? "",
    targetId: filter?.targetId ?? "",
    userId: filter?.userId ?? "",
    operatorId: filter?.operatorId ?? "",
    outcome: outcome === AuditOutcome.UNSPECIFIED ? "" : AuditOutcome[outcome],
    startTime: timestampDate(filter?.startTime ?? EVER[0]),
    endTime: timestampDate(filter?.endTime ?? EVER[1]),
  };
}

/** Lines of JSON in parts of 32 KiB at most; a single longer line is a part of its own. */
async function* toParts(rows: readonly AuditEntryRow[]) {
  const takeTurn = createTurnTaking();
  let lines: Buffer[] = [];
  let bytes = 0;
  let lastSequence = 0n;
  for (const row of rows) {
    await takeTurn();
    const line = Buffer.from(`${toJsonString(AuditEntrySchema, toProto(row))}\n`);
    if (bytes > 0 && bytes + line.length > MAX_PART_BYTES) {
      yield { jsonLines: Buffer.concat(lines), lastSequence };
      [lines, bytes] = [[], 0];
    }
    lines.push(line);
    bytes += line.length;
    lastSequence = BigInt(row.sequence ?? 0);
  }
  if (bytes > 0) yield { jsonLines: Buffer.concat(lines), lastSequence };
}

/** What auditors do with the audit trail. */
export function createAuditHandlers({ pageTokens, ...options }: AuditOptions & { readonly pageTokens: PageTokens }) {
  const audit = createAudit(options);
  const at = (place: number) => (place === 0 ? undefined : { ...START, id: String(place) });

  const admin = {
    listConfigAuditLogs: async (request, call) => {
      const filter = toFilter(request.filter);
      const order = request.order === AuditOrder.OLDEST_FIRST ? "oldest" : "newest";
      const scope = JSON.stringify([order, filter]);
      const from = Number(pageTokens.read(call, request.pageToken, scope).id);
      const { rows, next } = await audit.list(call, filter, { size: request.pageSize || 50, from, order });
      return { entries: rows.map(toProto), nextPageToken: pageTokens.write(call, at(next), scope) };
    },

    verifyAuditChain: async ({ startSequence, endSequence, checkpoint: token }, call) => {
      const asked = { start: Number(startSequence), end: Number(endSequence), token };
      const finding = await audit.verify(call, asked);
      if (finding instanceof Refusal) return finding;
      return {
        intact: finding.firstBroken === 0,
        entryCount: BigInt(finding.entryCount),
        firstBrokenSequence: BigInt(finding.firstBroken),
        ...(finding.checkpoint && { checkpoint: toCheckpoint(finding.checkpoint) }),
        startHash: finding.startHash,
        endHash: finding.endHash,
        verifyTime: timestampFromDate(call.clock()),
      };
    },

    repairAuditChain: async ({ reason }, call) => {
      const { first, last, sequence } = await audit.repair(call, reason);
      return {
        firstForeignSequence: BigInt(first),
        lastForeignSequence: BigInt(last),
        sequence: BigInt(sequence),
      };
    },

    listAuditCheckpoints: async ({ pageSize, pageToken }, call) => {
      const size = pageSize || 50;
      const from = Number(pageTokens.read(call, pageToken).id);
      const rows = await audit.checkpoints(call, from || Number.MAX_SAFE_INTEGER, size + 1);
      const next = rows.length > size ? (rows[size - 1]?.sequence ?? 0) : 0;
      return {
        checkpoints: rows.slice(0, size).map(toCheckpoint),
        nextPageToken: pageTokens.write(call, at(next)),
      };
    },

    exportAudit: async function* ({ filter, afterSequence }, call) {
      for await (const rows of audit.export(call, toFilter(filter), Number(afterSequence))) yield* toParts(rows);
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

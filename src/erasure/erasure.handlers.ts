import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Handlers } from "../core/handlers.ts";
import type { Eraser, Erasure } from "./erasure.ts";
import type { createExport } from "./export.ts";
import type { TombstoneRow } from "./tombstones/tombstones.repository.ts";

const toReceipt = (row: TombstoneRow) => ({
  receiptId: row.receiptId,
  userDigest: row.userDigest,
  removed: Object.entries(row.removed).map(([kind, count]) => ({ kind, count: BigInt(count) })),
  pseudonymisedAuditCount: BigInt(row.pseudonymisedCount),
  erasedBefore: row.erasedBefore,
  eraseTime: timestampFromDate(row.eraseTime),
});

const eraserOf = ({ caller, rpc, callId, client }: Call): Eraser => ({
  actorType: Principal[caller.principal],
  actorId: caller.subject,
  rpc,
  callId,
  ip: client.ip,
});

/** What is held about users, for themselves and until they want it gone. */
export function createPrivacyHandlers(erasure: Erasure, exportUser: ReturnType<typeof createExport>) {
  const admin = {
    exportUser: async ({ userId, reason }, call) => ({
      data: await exportUser(call, { tenantId: call.caller.tenantId, userId }, reason),
      exportTime: timestampFromDate(call.now),
    }),
  } satisfies Handlers<typeof AdminMfaService>;

  const internal = {
    eraseUser: async ({ userId, erasureId }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return { receipt: toReceipt(await erasure.erase(owner, erasureId, { eraser: eraserOf(call) })) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { admin, internal };
}

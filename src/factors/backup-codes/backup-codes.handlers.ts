import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { ownerOf } from "../../core/caller.ts";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import { isLow } from "./backup-code-set.ts";
import {
  type BackupCodeRow,
  type BackupCodeSetRow,
  backupCodeRepository,
  backupCodeSetRepository,
  type Lowness,
} from "./backup-codes.repository.ts";
import type { createBackupCodes } from "./backup-codes.ts";

/** How a set stands; all zero without one. */
const countOf = (set: BackupCodeSetRow | undefined, due: Lowness) =>
  set && {
    remaining: set.remaining,
    total: set.total,
    shouldRegenerate: isLow(set, due),
    confirmed: set.confirmTime !== null,
    generateTime: timestampFromDate(set.createTime),
    ...(set.lastUseTime && { lastUseTime: timestampFromDate(set.lastUseTime) }),
  };

const toProto = ({ codeId, selector, useTime }: BackupCodeRow) => ({
  backupCodeId: codeId,
  selector,
  used: useTime !== null,
  ...(useTime && { useTime: timestampFromDate(useTime) }),
});

/** What users do with their backup codes, and what administrators see of them. */
export function createBackupCodeHandlers(codes: ReturnType<typeof createBackupCodes>, pageTokens: PageTokens) {
  const none = {};

  const user = {
    generateBackupCodes: async (request, call) => {
      const due = await codes.lownessOf(call.caller.tenantId);
      const made = await codes.generate(call, ownerOf(call.caller), request);
      if (made instanceof Refusal) return made;
      const { set, inForce } = made;
      return {
        codes: [...made.codes],
        setId: set.setId,
        count: countOf(set.state === "active" ? set : inForce, due) ?? none,
        ...(set.expireTime && { expireTime: timestampFromDate(set.expireTime) }),
      };
    },

    confirmBackupCodes: async (request, call) => {
      const due = await codes.lownessOf(call.caller.tenantId);
      const confirmed = await codes.confirm(call, ownerOf(call.caller), request);
      return confirmed instanceof Refusal ? confirmed : { count: countOf(confirmed.set, due) ?? none };
    },

    listBackupCodes: async (request, call) => {
      const position = pageTokens.read(call, request.pageToken);
      const owner = ownerOf(call.caller);
      const { rows, next } = await call.unit(async (tx) => {
        const set = await backupCodeSetRepository(tx).find(owner, "active");
        if (!set) return { rows: [] };
        return backupCodeRepository(tx).list(
          { ...owner, setId: set.setId },
          { position, size: request.pageSize || 50 },
        );
      });
      return { backupCodes: rows.map(toProto), nextPageToken: pageTokens.write(call, next) };
    },

    getBackupCodeCount: async (_request, call) => {
      const due = await codes.lownessOf(call.caller.tenantId);
      const set = await call.unit((tx) => backupCodeSetRepository(tx).find(ownerOf(call.caller), "active"));
      return { count: countOf(set, due) ?? none };
    },

    verifyBackupCode: async (request, call) => {
      const proof = await codes.verify(call, ownerOf(call.caller), request);
      if (proof instanceof Refusal) return proof;
      const { set, due, restrictSession } = proof;
      const count = countOf(set, due) ?? none;
      return { count, verifyTime: timestampFromDate(call.now), restrictedSession: restrictSession };
    },
  } satisfies Handlers<typeof MfaService>;

  const admin = {
    listUserBackupCodeCounts: async ({ low, pageSize, pageToken }, call) => {
      const filter = `low=${low}`;
      const { tenantId } = call.caller;
      const due = await codes.lownessOf(tenantId);
      const page = { position: pageTokens.read(call, pageToken, filter), size: pageSize || 50 };
      const { rows, next } = await call.unit((tx) =>
        backupCodeSetRepository(tx).list(tenantId, page, { ...due, onlyLow: low }),
      );
      const counts = rows.map((set) => ({ userId: set.userId, count: countOf(set, due) ?? none }));
      return { counts, nextPageToken: pageTokens.write(call, next, filter) };
    },

    getUserBackupCodeCount: async ({ userId }, call) => {
      const { tenantId } = call.caller;
      const due = await codes.lownessOf(tenantId);
      const set = await call.unit((tx) => backupCodeSetRepository(tx).find({ tenantId, userId }, "active"));
      return { count: countOf(set, due) ?? none };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { user, admin };
}

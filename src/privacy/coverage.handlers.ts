import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { PageTokens } from "../crypto/page-token.ts";
import { START } from "../db/page.ts";
import type { Handlers } from "../rpc/service.ts";
import type { Coverage, Gap, Listed } from "./coverage.ts";

const toUser = ({ userId, gaps, types, lastVerifyTime }: Listed) => ({
  userId,
  gaps: gaps.map((gap) => CoverageGap[gap]),
  factorTypes: types.map((type) => FactorType[type]),
  ...(lastVerifyTime && { lastVerifyTime: timestampFromDate(lastVerifyTime) }),
});

/** How well a tenant's users are protected, for administrators. */
export function createCoverageHandlers(coverage: Coverage, pageTokens: PageTokens) {
  const admin = {
    getCoverage: async ({ gap, pageSize, pageToken }, call) => {
      const asked = gap === CoverageGap.UNSPECIFIED ? undefined : (CoverageGap[gap] as Gap); // defined values pass only
      const offset = Number(pageTokens.read(call, pageToken, String(gap)).id);
      const found = await coverage.report(call, asked, { offset, size: pageSize || 50 });
      const next = found.next === undefined ? undefined : { time: START.time, id: String(found.next) };
      return {
        userCount: BigInt(found.userCount),
        enrolledCount: BigInt(found.enrolledCount),
        gaps: [...found.gaps].map(([name, count]) => ({ gap: CoverageGap[name], userCount: BigInt(count) })),
        factors: [...found.types].map(([name, count]) => ({ factorType: FactorType[name], userCount: BigInt(count) })),
        users: found.listed.map(toUser),
        countTime: timestampFromDate(call.now),
        nextPageToken: pageTokens.write(call, next, String(gap)),
      };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Handlers } from "../core/handlers.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import { START } from "../db/page.ts";
import type { Counts, Coverage, Gap, UserWithGaps } from "./coverage.ts";

const toUser = ({ userId, gaps, types, lastVerifyTime }: UserWithGaps) => ({
  userId,
  gaps: gaps.map((gap) => CoverageGap[gap]),
  factorTypes: types.map((type) => FactorType[type]),
  ...(lastVerifyTime && { lastVerifyTime: timestampFromDate(lastVerifyTime) }),
});

const countsMessage = ({ userCount, enrolledCount, gaps, types }: Counts, now: Date) => ({
  userCount: BigInt(userCount),
  enrolledCount: BigInt(enrolledCount),
  gaps: [...gaps].map(([name, count]) => ({ gap: CoverageGap[name], userCount: BigInt(count) })),
  factors: [...types].map(([name, count]) => ({ factorType: FactorType[name], userCount: BigInt(count) })),
  countTime: timestampFromDate(now),
});

/** How well a tenant's users are protected, for administrators. */
export function createCoverageHandlers(coverage: Coverage, pageTokens: PageTokens) {
  const admin = {
    getCoverage: async ({ gap, pageSize, pageToken }, call) => {
      const asked = gap === CoverageGap.UNSPECIFIED ? undefined : (CoverageGap[gap] as Gap); // defined values pass only
      const { id: after } = pageTokens.read(call, pageToken, String(gap));
      const { counts, listed, next } = await coverage.report(call, asked, { after, size: pageSize || 50 });
      return {
        ...(counts && countsMessage(counts, call.now)),
        users: listed.map(toUser),
        nextPageToken: pageTokens.write(call, next === undefined ? undefined : { ...START, id: next }, String(gap)),
      };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

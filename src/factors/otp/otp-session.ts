import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import { sessionDigest } from "../../core/session-digest.ts";
import type { RequiredProof } from "../factor.ts";
import type { OtpChallengeRow } from "./otp-challenges.repository.ts";
import type { Holder } from "./otp-judge.ts";

const OF_CHALLENGE = "challenge/";

/** Whose codes a caller asks for by themselves: by the digest of their session; empty where their token names none. */
export const holderOf = ({ caller }: Call): Holder => ({
  owner: ownerOf(caller),
  sessionId: sessionDigest(caller.sessionId)?.toString("base64url") ?? "",
});

/** What stands for the session of a challenge: apart from those of `holderOf`, so that neither code is taken for the other. */
export const sessionOfChallenge = ({ session }: RequiredProof): string => `${OF_CHALLENGE}${session}`;

/** Whether a code was sent for a challenge, under whose id it is kept. */
export const isForChallenge = ({ sessionId }: Pick<OtpChallengeRow, "sessionId">): boolean =>
  sessionId.startsWith(OF_CHALLENGE);

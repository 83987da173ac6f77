import type { ChallengeTerms, Proof } from "../../gen/mfa/v1/challenge_pb.js";
import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { Call } from "../core/call.ts";
import { ownerOf } from "../core/caller.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner } from "../db/store.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { createTermsReader } from "./asked-terms.ts";
import { challengeMessage } from "./challenge-message.ts";
import type { createChallenges, Shown } from "./challenges.ts";
import type { CurrentChallenge } from "./state.ts";
import { typeName } from "./terms.ts";

interface Creating {
  readonly terms?: ChallengeTerms | undefined;
  readonly prepareFactorType: FactorType;
  readonly factorId: string;
  /** In backends' requests only. */
  readonly decisionId?: string;
}
interface Resending {
  readonly challengeId: string;
  readonly factorType: FactorType;
  readonly factorId: string;
}
interface Answering {
  readonly challengeId: string;
  readonly proof?: Proof | undefined;
}

/** Maps a stream; unlike a generator it does not keep the last message while it waits for the next. */
const eachOf = <A, B>(source: AsyncGenerator<A, void>, become: (one: A) => Promise<B>): AsyncIterable<B> => ({
  [Symbol.asyncIterator]: () => ({
    next: async (): Promise<IteratorResult<B, void>> => {
      const { done, value } = await source.next();
      return done ? { done, value: undefined } : { done: false, value: await become(value) };
    },
    return: async () => {
      await source.return();
      return { done: true, value: undefined };
    },
  }),
});

/** Returns the user that a backend names. */
const userOf = ({ caller: { tenantId } }: Call, { userId }: { userId: string }): Owner => ({ tenantId, userId });

/** RPCs of generic challenges, for users and for backends. */
export function createChallengeHandlers(challenges: ReturnType<typeof createChallenges>, settingsOf: SettingsOf) {
  const message = async (call: Call, standing: CurrentChallenge) => {
    const { tenantId, userId, preparedType, challengeId } = standing.row;
    const prover = challenges.proverOf(preparedType || undefined);
    const delivery = prover?.deliveryOf;
    if (!delivery) return challengeMessage(standing);
    return challengeMessage(standing, await call.read((tx) => delivery(tx, { tenantId, userId }, challengeId)));
  };
  const shown = async (call: Call, { standing, preparation }: Shown) => ({
    challenge: await message(call, standing),
    ...(preparation?.case && { preparation: { kind: preparation } }),
  });

  const termsOf = createTermsReader(settingsOf);

  const create = async (call: Call, owner: Owner, request: Creating) => {
    const { prepareFactorType, factorId } = request;
    const read = await termsOf(call, owner, request);
    if (read instanceof Refusal) return read;
    const created = await challenges.create(call, owner, read, { type: typeName(prepareFactorType), factorId });
    return created instanceof Refusal ? created : shown(call, created);
  };
  const verify = async (call: Call, owner: Owner, { challengeId, proof }: Answering) => {
    if (proof?.kind.case === undefined) return new Refusal("INVALID_FIELD");
    const proven = await challenges.verify(
      call,
      { ...owner, challengeId },
      proof.kind,
      async (_, standing) => standing,
    );
    return proven instanceof Refusal ? proven : { challenge: await message(call, proven) };
  };
  const resend = async (call: Call, owner: Owner, { challengeId, factorType, factorId }: Resending) => {
    const again = await challenges.resend(call, { ...owner, challengeId }, { type: typeName(factorType), factorId });
    return again instanceof Refusal ? again : shown(call, again);
  };
  const get = async (call: Call, owner: Owner, { challengeId }: { challengeId: string }) => {
    const standing = await call.read((tx) => challenges.findOwn(tx, call, { ...owner, challengeId }));
    return { challenge: await message(call, standing) };
  };
  const cancel = async (call: Call, owner: Owner, { challengeId }: { challengeId: string }) => ({
    challenge: await message(call, await challenges.cancel(call, { ...owner, challengeId })),
  });
  const watch = (call: Call, owner: Owner, { challengeId }: { challengeId: string }) =>
    eachOf(challenges.watch(call, { ...owner, challengeId }), async (standing) => ({
      challenge: await message(call, standing),
    }));

  const user = {
    createChallenge: (request, call) => create(call, ownerOf(call.caller), request),
    getChallenge: (request, call) => get(call, ownerOf(call.caller), request),
    verifyChallenge: (request, call) => verify(call, ownerOf(call.caller), request),
    resendChallenge: (request, call) => resend(call, ownerOf(call.caller), request),
    cancelChallenge: (request, call) => cancel(call, ownerOf(call.caller), request),
    watchChallenge: (request, call) => watch(call, ownerOf(call.caller), request),
  } satisfies Handlers<typeof MfaService>;

  const internal = {
    createUserChallenge: (request, call) => create(call, userOf(call, request), request),
    getUserChallenge: (request, call) => get(call, userOf(call, request), request),
    verifyUserChallenge: (request, call) => verify(call, userOf(call, request), request),
    resendUserChallenge: (request, call) => resend(call, userOf(call, request), request),
    cancelUserChallenge: (request, call) => cancel(call, userOf(call, request), request),
    watchUserChallenge: (request, call) => watch(call, userOf(call, request), request),
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal, message, termsOf };
}

/** The RPCs of challenges, and what others make the same messages with. */
export type ChallengeHandlers = ReturnType<typeof createChallengeHandlers>;

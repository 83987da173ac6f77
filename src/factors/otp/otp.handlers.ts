import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  GetChallengeRequestSchema,
  ResendChallengeRequestSchema,
  ResendChallengeResponseSchema,
  VerifyChallengeRequestSchema,
} from "../../../gen/mfa/v1/challenge_pb.js";
import { FactorState } from "../../../gen/mfa/v1/factor_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { OtpPurpose } from "../../../gen/mfa/v1/otp_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { FactorSet } from "../factor.ts";
import { type OtpChannel, otpChannels } from "./channels.ts";
import type { createOtp } from "./otp.ts";
import type { OtpAddressRow } from "./otp-addresses.repository.ts";
import { toDelivery } from "./otp-messages.ts";
import { holderOf } from "./otp-session.ts";

const states = {
  pending: FactorState.PENDING,
  active: FactorState.ACTIVE,
  disabled: FactorState.DISABLED,
  former: FactorState.UNSPECIFIED,
} as const;

const purposes = {
  [OtpPurpose.UNSPECIFIED]: "log_in",
  [OtpPurpose.LOG_IN]: "log_in",
  [OtpPurpose.STEP_UP]: "step_up",
  [OtpPurpose.ENROLL]: "enroll",
} as const;

const { sms, email } = otpChannels;

/** Whether a reading finds what it asks for; another failure stays one. */
const isFound = (reading: Promise<unknown>): Promise<boolean> =>
  reading.then(
    (found) => !(found instanceof Refusal),
    (thrown: unknown) => {
      if (thrown instanceof Refusal && thrown.reason === "NOT_FOUND") return false;
      throw thrown;
    },
  );

/** What these handlers need beside the domain. */
export interface OtpHandlerOptions extends Pick<FactorSet, "primaryOf"> {
  readonly otp: ReturnType<typeof createOtp>;
  /** How a challenge is prepared and answered: a code may be for one. */
  readonly challenges: Pick<
    Required<Handlers<typeof MfaService>>,
    "getChallenge" | "resendChallenge" | "verifyChallenge"
  >;
}

/** What users do with the numbers and addresses that codes are sent to. */
export function createOtpHandlers({ otp, primaryOf, challenges }: OtpHandlerOptions) {
  const toAddress = async (call: Call, row: OtpAddressRow) => ({
    factorId: row.factorId,
    type: otpChannels[row.channel].type,
    state: states[row.state],
    maskedTarget: row.masked,
    primary: (await call.unit((tx) => primaryOf(tx, ownerOf(call.caller), call.now))) === row.factorId,
    createTime: timestampFromDate(row.createTime),
    ...(row.verifyTime && { verifyTime: timestampFromDate(row.verifyTime) }),
    ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  });

  const start = async (call: Call, channel: OtpChannel, request: { typed: string; locale: string }) => {
    const started = await otp.start(call, holderOf(call), { channel, ...request });
    if (started instanceof Refusal) return started;
    return { address: await toAddress(call, started.address), delivery: toDelivery(started) };
  };

  const finish = async (call: Call, channel: OtpChannel, typed: { challengeId: string; code: string }) => {
    const { challengeId, code } = typed;
    const finished = await otp.finish(call, holderOf(call), { channel, challengeId, code });
    if (finished instanceof Refusal) return finished;
    const { address, codes } = finished;
    return {
      address: await toAddress(call, address),
      ...(codes && { backupCodes: [...codes.codes], backupCodeSetId: codes.setId }),
    };
  };

  const setState = async (
    call: Call,
    channel: OtpChannel,
    change: { state: "active" | "disabled"; confirmed: boolean },
  ) => {
    const address = await otp.setState(call, ownerOf(call.caller), { channel, ...change });
    return address instanceof Refusal ? address : { address: await toAddress(call, address) };
  };

  /** Whether an id is that of a challenge of the caller's, and not of a code that they asked for by itself. */
  const isForChallenge = async (call: Call, challengeId: string): Promise<boolean> => {
    if (challengeId === "" || (await call.read((tx) => otp.isOwn(tx, ownerOf(call.caller), challengeId)))) return false;
    return isFound(challenges.getChallenge(create(GetChallengeRequestSchema, { challengeId }), call));
  };

  /** Sends a code for a challenge, which says who, for what and how. */
  const sendForChallenge = async (call: Call, channel: OtpChannel, challengeId: string) => {
    const request = create(ResendChallengeRequestSchema, { challengeId, factorType: channel.type });
    const again = await challenges.resendChallenge(request, call);
    if (again instanceof Refusal) return again;
    const { preparation, challenge } = create(ResendChallengeResponseSchema, again);
    const sent = preparation?.kind;
    const delivery = sent?.case === "sms" || sent?.case === "email" ? sent.value : challenge?.delivery;
    return delivery ? { delivery } : new Refusal("NOT_ENROLLED");
  };

  /** Proves a challenge by the code that was sent for it. */
  const verifyForChallenge = async (call: Call, channel: OtpChannel, typed: { challengeId: string; code: string }) => {
    const { challengeId, code } = typed;
    const sent = await call.read((tx) => otp.findSent(tx, ownerOf(call.caller), challengeId));
    const proof = { kind: { case: channel.answers, value: code } };
    const proven = await challenges.verifyChallenge(create(VerifyChallengeRequestSchema, { challengeId, proof }), call);
    if (proven instanceof Refusal) return proven;
    return { factorId: sent?.address.factorId ?? "", verifyTime: timestampFromDate(call.now) };
  };

  const send = async (
    call: Call,
    channel: OtpChannel,
    { purpose, challengeId, locale }: { purpose: OtpPurpose; challengeId: string; locale: string },
  ) => {
    if (await isForChallenge(call, challengeId)) return sendForChallenge(call, channel, challengeId);
    const sent = await otp.send(call, holderOf(call), { channel, purpose: purposes[purpose], challengeId, locale });
    return sent instanceof Refusal ? sent : { delivery: toDelivery(sent) };
  };

  const verify = async (call: Call, channel: OtpChannel, typed: { challengeId: string; code: string }) => {
    const { challengeId, code } = typed;
    if (await isForChallenge(call, challengeId)) return verifyForChallenge(call, channel, typed);
    const proof = await otp.verify(call, holderOf(call), { channel, challengeId, code });
    return proof instanceof Refusal ? proof : { factorId: proof.factorId, verifyTime: timestampFromDate(call.now) };
  };

  const user = {
    startSmsEnrollment: ({ phoneNumber, locale }, call) => start(call, sms, { typed: phoneNumber, locale }),
    finishSmsEnrollment: (request, call) => finish(call, sms, request),
    enableSms: (_, call) => setState(call, sms, { state: "active", confirmed: true }),
    disableSms: ({ confirmLastFactor }, call) =>
      setState(call, sms, { state: "disabled", confirmed: confirmLastFactor }),
    sendSmsCode: (request, call) => send(call, sms, request),
    verifySmsCode: (request, call) => verify(call, sms, request),

    startEmailEnrollment: (request, call) => start(call, email, { typed: request.email, locale: request.locale }),
    finishEmailEnrollment: (request, call) => finish(call, email, request),
    enableEmail: (_, call) => setState(call, email, { state: "active", confirmed: true }),
    disableEmail: (_, call) => setState(call, email, { state: "disabled", confirmed: true }),
    sendEmailCode: (request, call) => send(call, email, request),
    verifyEmailCode: (request, call) => verify(call, email, request),
  } satisfies Handlers<typeof MfaService>;

  return { user };
}

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { FactorState } from "../../../gen/mfa/v1/factor_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { OtpPurpose } from "../../../gen/mfa/v1/otp_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Handlers } from "../../rpc/service.ts";
import type { FactorSet } from "../factor.ts";
import { type OtpChannel, otpChannels } from "./channels.ts";
import type { createOtp } from "./otp.ts";
import type { OtpAddressRow } from "./otp-addresses.repository.ts";
import { toDelivery } from "./otp-messages.ts";

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

const holderOf = ({ caller }: Call) => ({ owner: ownerOf(caller), sessionId: caller.sessionId });

/** What users do with the numbers and addresses that codes are sent to. */
export function createOtpHandlers(otp: ReturnType<typeof createOtp>, { primaryOf }: Pick<FactorSet, "primaryOf">) {
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
    const address = await otp.finish(call, holderOf(call), { channel, challengeId, code });
    return address instanceof Refusal ? address : { address: await toAddress(call, address) };
  };

  const setState = async (
    call: Call,
    channel: OtpChannel,
    change: { state: "active" | "disabled"; confirmed: boolean },
  ) => {
    const address = await otp.setState(call, ownerOf(call.caller), { channel, ...change });
    return address instanceof Refusal ? address : { address: await toAddress(call, address) };
  };

  const send = async (
    call: Call,
    channel: OtpChannel,
    { purpose, challengeId, locale }: { purpose: OtpPurpose; challengeId: string; locale: string },
  ) => {
    const sent = await otp.send(call, holderOf(call), { channel, purpose: purposes[purpose], challengeId, locale });
    return sent instanceof Refusal ? sent : { delivery: toDelivery(sent) };
  };

  const verify = async (call: Call, channel: OtpChannel, typed: { challengeId: string; code: string }) => {
    const { challengeId, code } = typed;
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

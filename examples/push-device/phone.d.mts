import type { DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type {
  ApprovePushChallengeResponse,
  DenyPushChallengeResponse,
  FinishPushDeviceEnrollmentResponse,
  PendingPushChallenge,
  PushAddressSchema,
  RotatePushDeviceTokenResponse,
} from "../../gen/mfa/v1/push_pb.js";

/** A call that the service refused. */
export declare class Refused extends Error {
  readonly code: number;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A phone's key as it is kept. */
export interface PhoneKey {
  readonly algorithm: "ES256" | "ED25519";
  readonly privateKey: string | Buffer;
}

/** What a phone keeps. */
export interface PhoneState {
  readonly address: string;
  readonly key: PhoneKey;
  deviceId?: string;
}

/** Why a request is denied. */
export type Reason = "NOT_ME" | "MISTAKE" | "OTHER";

/** What is signed of a request. */
export type Shown = Pick<PendingPushChallenge, "pushChallengeId" | "nonce" | "actionDigest">;

/** Parts, each behind its length as four bytes. */
export declare function frame(...parts: (string | Uint8Array)[]): Buffer;
/** Reads what a QR code says. */
export declare function readPairing(text: string): { token: string; issuer: string; address: string };
/** A new key of this phone's. */
export declare function newKey(algorithm?: PhoneKey["algorithm"]): PhoneKey;
/** A phone. */
export declare function openPhone(
  state: PhoneState,
  options?: { now?: () => Date },
): {
  readonly publicKey: Buffer;
  ask<M extends DescMethod>(method: M, fields: MessageInitShape<M["input"]>): Promise<MessageShape<M["output"]>>;
  answer(shown: Shown, number: string, ...decision: string[]): Buffer;
  pair(
    token: string,
    options?: { address?: MessageInitShape<typeof PushAddressSchema>; displayName?: string },
  ): Promise<FinishPushDeviceEnrollmentResponse>;
  pending(): Promise<PendingPushChallenge[]>;
  approve(challenge: Shown, number: string): Promise<ApprovePushChallengeResponse>;
  deny(challenge: Shown, reason?: Reason): Promise<DenyPushChallengeResponse>;
  rotate(address: MessageInitShape<typeof PushAddressSchema>): Promise<RotatePushDeviceTokenResponse>;
  close(): void;
};

import type { MessageInitShape } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { newKey, openPhone, type PhoneKey } from "../../../examples/push-device/phone.mjs";
import type { PushAddressSchema } from "../../../gen/mfa/v1/push_pb.js";
import type { PushSettingsSchema } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import type { EngineUnderTest } from "../engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../worlds/service.ts";
import { inSession, transferTexts } from "./backend.ts";

/** Switches approvals on for a tenant, of transfers too. */
export async function switchPushOn(
  service: ServiceUnderTest,
  push: MessageInitShape<typeof PushSettingsSchema> = {},
  tenant = "dev",
) {
  const scope = "mfa.settings.write mfa.settings.read mfa.read";
  const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope, tenant });
  const { settings } = await service.admin.getTenantSettings({}, admin);
  const version = settings?.version ?? 0n;
  await service.admin.updateTenantSettings(
    { push: { enabled: true, ...push }, templates: transferTexts, version },
    admin,
  );
  return admin;
}

/** A phone that is not paired yet, with the clock of the service. */
export function newPhone(service: ServiceUnderTest, algorithm: PhoneKey["algorithm"] = "ES256") {
  const state: Parameters<typeof openPhone>[0] = { address: `127.0.0.1:${service.port}`, key: newKey(algorithm) };
  const phone = openPhone(state, { now: () => service.clock.now });
  onTestFinished(() => phone.close());
  return { ...phone, state, id: () => state.deviceId ?? "" };
}

/** A phone, simulated. */
export type Phone = ReturnType<typeof newPhone>;

/** The same phone, calling another instance. */
export function phoneAt(service: ServiceUnderTest, { state }: Phone, port: number): Phone {
  const moved = { ...state, address: `127.0.0.1:${port}` };
  const phone = openPhone(moved, { now: () => service.clock.now });
  onTestFinished(() => phone.close());
  return { ...phone, state: moved, id: () => moved.deviceId ?? "" };
}

/** Pairs a phone for a user, in a session of its own. */
export async function pairPhone(
  service: ServiceUnderTest,
  user: string,
  {
    algorithm = "ES256",
    acr = "aal1",
    session = "paired",
    address,
    displayName = "",
    tenant = "dev",
  }: {
    algorithm?: PhoneKey["algorithm"];
    acr?: "aal1" | "aal2";
    session?: string;
    address?: MessageInitShape<typeof PushAddressSchema>;
    displayName?: string;
    tenant?: string;
  } = {},
) {
  const token = await service.mint({ audience: "mfa", subject: user, acr, session, tenant });
  const { pairingToken } = await service.mfa.startPushDeviceEnrollment({ displayName }, token);
  const phone = newPhone(service, algorithm);
  await phone.pair(pairingToken, { ...(address && { address }) });
  return phone;
}

/** Asks a user's phones from a page of a session. */
export async function askPhone(service: ServiceUnderTest, user: string, fields: object = {}, session = "web") {
  const token = await inSession(service, user, session);
  const { challenge, number } = await service.mfa.createPushChallenge(fields, token);
  return {
    token,
    number,
    challengeId: challenge?.challengeId ?? "",
    pushChallengeId: challenge?.pushChallengeId ?? "",
    challenge,
  };
}

/** A number that is not the one of the page. */
export const wrongNumber = (number: string): string =>
  String((Number(number) + 1) % 10 ** number.length).padStart(number.length, "0");

/** Signatures that are good once, and what workers do meanwhile. */
export const ASIDE = ["request_ids", "outbox_messages", "events", "event_streams"];

/** What a phone's call failed with; "OK" where it did not. */
export const reasonOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "OK",
    (error: { reason?: string }) => error.reason || String(error),
  );

/** The state that a page reads. */
export const stateOf = async (service: ServiceUnderTest, pushChallengeId: string, token: string) =>
  (await service.mfa.getPushChallenge({ pushChallengeId }, token)).challenge?.state;

/** A service whose tenant has approvals on. */
export async function startPush(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  return { service, admin: await switchPushOn(service) };
}

/** The same with a phone of ann's. */
export async function pairedPhone(engine: EngineUnderTest) {
  const started = await startPush(engine);
  return { ...started, phone: await pairPhone(started.service, "ann") };
}

/** The same with what waits for the phone, and the page that waits for it. */
export async function askedPhone(engine: EngineUnderTest, fields: object = {}) {
  const { service, phone, admin } = await pairedPhone(engine);
  const page = await askPhone(service, "ann", fields);
  const [waiting] = await phone.pending();
  if (!waiting) throw new Error("nothing waits");
  return { service, phone, admin, page, waiting };
}

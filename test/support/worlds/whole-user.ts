import { randomUUID } from "node:crypto";
import { adminOf } from "../actors/administrators.ts";
import { backendOf, createFor } from "../actors/backend.ts";
import { enrollCodes } from "../actors/backup-codes.ts";
import { failure } from "../actors/grpc-client.ts";
import { newestCode, phone, switchOn } from "../actors/one-time-codes.ts";
import { enrollPasskey } from "../actors/passkey.ts";
import { askPhone, pairPhone, switchPushOn } from "../actors/push-phones.ts";
import { allowTrust } from "../actors/trusted-clients.ts";
import type { ServiceUnderTest } from "./service.ts";

const reason = "ticket 4711";

/** Switches everything on that a tenant can have. */
export async function switchAllOn(service: ServiceUnderTest): Promise<void> {
  await switchOn(service);
  await allowTrust(service);
  await switchPushOn(service);
}

/** In a tenant that has everything on, a user of whom every table has something. */
export async function live(service: ServiceUnderTest, user: string, phoneNumber = phone()) {
  const { codes, app } = await enrollCodes(service, user);
  const token = () => service.user(user, "aal2");
  const { passkey, credential } = await enrollPasskey(service, user);
  const device = await pairPhone(service, user, { acr: "aal2" });
  const asked = await askPhone(service, user);
  const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber }, await token());
  const finish = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, user) };
  await service.mfa.finishSmsEnrollment(finish, await token());
  service.pass(60_000);
  await service.mfa.sendSmsCode({}, await token());
  await service.mfa.startEmailEnrollment({ email: user }, await token());
  await service.mfa.startWebAuthnRegistration({}, await token());
  await service.admin.issueTemporaryPass({ userId: user, reason }, await adminOf(service));
  const { trustToken } = await service.mfa.trustDevice({}, await token());
  await createFor(service, user, await backendOf(service));
  await failure(service.mfa.verifyTotpCode({ code: "000000" }, await token()));
  await service.mfa.startTotpEnrollment({ requestId: randomUUID() }, await token());
  return { app, codes, trustToken, passkey, credential, device, asked };
}

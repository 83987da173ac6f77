import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { UpdateTenantSettingsRequestSchema } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";

type Update = MessageInitShape<typeof UpdateTenantSettingsRequestSchema>;

/** A number of Germany's mobile plan, another for each n. */
export const phone = (n = 0): string => `+4915112${String(345_678 + n * 10_000).padStart(6, "0")}`;

/** Switches both ways of sending codes on for the tenant, with what a test wants otherwise. */
export async function switchOn(service: ServiceUnderTest, groups: Update = {}) {
  const scope = "mfa.read mfa.settings.write";
  const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  const { settings } = await service.admin.getTenantSettings({}, token);
  await service.admin.updateTenantSettings(
    create(UpdateTenantSettingsRequestSchema, {
      sms: { enabled: true, allowedCountries: ["DE", "US"], dailyBudget: 1000 },
      email: { enabled: true },
      ...groups,
      version: settings?.version ?? 0n,
    } as Update),
    token,
  );
}

/** What dev mode kept for a user, newest first. */
export async function inboxOf(service: ServiceUnderTest, userId = "") {
  const { messages } = await service.internal.listInboxMessages({ userId }, await service.backend("mfa.dev"));
  return messages;
}

/** The messages with a code among them. Notices are sent beside the calls that cause them, and may come between. */
export const codesFor = async (service: ServiceUnderTest, userId: string) =>
  (await inboxOf(service, userId)).filter(({ code }) => code !== "");

/** The newest code that was sent to a user. */
export const newestCode = async (service: ServiceUnderTest, userId: string): Promise<string> =>
  (await codesFor(service, userId))[0]?.code ?? "";

/** Any code but this. */
export const otherThan = (code: string): string => (code === "000000" ? "111111" : "000000");

/** Enrolls an address for codes, and passes the pause before the next code. */
export async function enrollEmail(service: ServiceUnderTest, user: string, address = `${user}@example.com`) {
  const token = await service.user(user);
  const { delivery } = await service.mfa.startEmailEnrollment({ email: address }, token);
  const challengeId = delivery?.challengeId ?? "";
  const enrolled = await service.mfa.finishEmailEnrollment(
    { challengeId, code: await newestCode(service, user) },
    token,
  );
  service.pass(60_000);
  return { token: await service.user(user), address: enrolled.address, factorId: enrolled.address?.factorId ?? "" };
}

/** Enrolls a number for codes, and passes the pause before the next code. */
export async function enrollPhone(service: ServiceUnderTest, user: string, phoneNumber = phone()) {
  const token = await service.user(user, "aal2");
  const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber }, token);
  const challengeId = delivery?.challengeId ?? "";
  const enrolled = await service.mfa.finishSmsEnrollment({ challengeId, code: await newestCode(service, user) }, token);
  service.pass(60_000);
  return { token: await service.user(user, "aal2"), factorId: enrolled.address?.factorId ?? "" };
}

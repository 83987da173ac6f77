import { TOTP } from "totp-generator";
import { TotpAlgorithm, type TotpDevice } from "../../../gen/mfa/v1/totp_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";

const algorithms = { [TotpAlgorithm.SHA256]: "SHA-256", [TotpAlgorithm.SHA512]: "SHA-512" } as const;

/** An authenticator app that is not ours (the npm package totp-generator): the code it shows at a time. */
export async function showCode(secret: string, at: Date, device?: TotpDevice): Promise<string> {
  const { otp } = await TOTP.generate(secret, {
    timestamp: at.getTime(),
    explicitZeroPad: true,
    digits: device?.digits ?? 6,
    period: Number(device?.period?.seconds ?? 30),
    algorithm: algorithms[device?.algorithm as keyof typeof algorithms] ?? "SHA-1",
  });
  return otp;
}

/** An app that holds a secret, whose clock may be off. */
export function appOf(service: ServiceUnderTest, secret: string, device?: TotpDevice) {
  return (offsetMs = 0) => showCode(secret, new Date(service.clock.now.getTime() + offsetMs), device);
}

/** Enrolls an app for a user, who has others already where `acr` is aal2, and moves past the step that proved it. */
export async function enrollApp(
  service: ServiceUnderTest,
  user: string,
  acr: "aal1" | "aal2" = "aal1",
  displayName = "",
) {
  const token = await service.user(user, acr);
  const { provisioning, device } = await service.mfa.startTotpEnrollment({ displayName }, token);
  const secret = provisioning?.secret ?? "";
  const code = appOf(service, secret);
  await service.mfa.finishTotpEnrollment({ code: await code() }, token);
  service.pass(30_000);
  return { token, secret, code, deviceId: device?.deviceId ?? "" };
}

/** A code that the app does not show anywhere near now. */
export async function wrongCode(app: { code(offsetMs?: number): Promise<string> }): Promise<string> {
  const near = await Promise.all([-60_000, -30_000, 0, 30_000, 60_000].map((offset) => app.code(offset)));
  return ["111111", "222222", "333333", "444444", "555555", "666666"].find((code) => !near.includes(code)) ?? "";
}

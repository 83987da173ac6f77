import { TOTP } from "totp-generator";
import { TotpAlgorithm, type TotpDevice } from "../../gen/mfa/v1/totp_pb.js";
import type { ServiceUnderTest } from "./service.ts";

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

/** Enrols an app for a user and moves past the step that proved it. */
export async function enrolApp(service: ServiceUnderTest, user: string) {
  const token = await service.user(user);
  const { provisioning, device } = await service.mfa.startTotpEnrollment({}, token);
  const secret = provisioning?.secret ?? "";
  const code = (offsetMs = 0) => showCode(secret, new Date(service.clock.now.getTime() + offsetMs));
  await service.mfa.finishTotpEnrollment({ code: await code() }, token);
  service.pass(30_000);
  return { token, secret, code, deviceId: device?.deviceId ?? "" };
}

/** A code that the app does not show anywhere near now. */
export async function wrongCode(app: { code(offsetMs?: number): Promise<string> }): Promise<string> {
  const near = await Promise.all([-60_000, -30_000, 0, 30_000, 60_000].map((offset) => app.code(offset)));
  return ["111111", "222222", "333333", "444444", "555555", "666666"].find((code) => !near.includes(code)) ?? "";
}

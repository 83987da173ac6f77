import type { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";

/** What a proof was, as far as the methods of an assertion go. */
export interface Method {
  readonly type: Exclude<keyof typeof FactorType, "UNSPECIFIED">;
  readonly deviceBound: boolean;
  readonly userVerified: boolean;
  /** Whether the one proof stands for both factors. */
  readonly alone: boolean;
}

const own = (name: string) => `urn:mfa:amr:${name}`;
const WEBAUTHN = own("webauthn");
const EMAIL = own("email");
const BACKUP_CODE = own("backup-code");
const TEMPORARY_PASS = own("temporary-pass");
const USER_VERIFIED = own("user-verified");
const PASSKEY_ALONE = own("passkey-alone");

const names: Record<Method["type"], (method: Method) => string[]> = {
  TOTP: () => ["otp"],
  WEBAUTHN: ({ deviceBound, userVerified, alone }) => [
    deviceBound ? "hwk" : "swk",
    "user",
    WEBAUTHN,
    ...(userVerified ? [USER_VERIFIED] : []),
    ...(userVerified && alone ? [PASSKEY_ALONE] : []),
  ],
  PUSH: () => ["swk", "mca"],
  SMS: () => ["sms"],
  EMAIL: () => [EMAIL],
  BACKUP_CODE: () => [BACKUP_CODE],
  TEMPORARY_PASS: () => [TEMPORARY_PASS],
};

/** The level and the methods that proofs are stated as: RFC 8176's names, and ours as URNs where it has none. */
export function statedAs(methods: readonly Method[]): { acr: "aal1" | "aal2"; amr: string[] } {
  const amr = [...new Set(methods.flatMap((method) => names[method.type](method)))];
  // E-mail is no second factor (NIST SP 800-63B-4 §3.1.3.1).
  const isEmailOnly = methods.every(({ type }) => type === "EMAIL");
  return isEmailOnly ? { acr: "aal1", amr } : { acr: "aal2", amr: [...amr, "mfa"] };
}

/** Whether methods name a proof that is none of these. */
const namesMoreThan = (amr: readonly string[], ...these: readonly string[]): boolean =>
  amr.some((name) => name !== "mfa" && !these.includes(name));

const demands: Record<keyof typeof AuthenticationStrength, (acr: string, amr: readonly string[]) => boolean> = {
  UNSPECIFIED: () => true,
  ANY_FACTOR: (acr) => acr === "aal2",
  UNRESTRICTED: (acr, amr) => acr === "aal2" && namesMoreThan(amr, "sms", EMAIL),
  PHISHING_RESISTANT: (acr, amr) => acr === "aal2" && amr.includes(WEBAUTHN),
  DEVICE_BOUND: (acr, amr) =>
    acr === "aal2" && [WEBAUTHN, "hwk", USER_VERIFIED].every((method) => amr.includes(method)),
};

/** Whether what an assertion states is worth what is asked. */
export const isWorth = (
  { acr, amr }: { readonly acr: string; readonly amr: readonly string[] },
  strength: keyof typeof AuthenticationStrength,
): boolean => demands[strength](acr, amr);

/** Whether all of the level that was proved is used up by now: no ground for trust that lasts. */
export const isUsedUp = (amr: readonly string[]): boolean => !namesMoreThan(amr, EMAIL, BACKUP_CODE, TEMPORARY_PASS);

/** Whether it was stated by a backup code and by nothing that lasts. */
export const isByBackupCode = (amr: readonly string[]): boolean => isUsedUp(amr) && amr.includes(BACKUP_CODE);

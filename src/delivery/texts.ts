/** The service's own texts, for tenants without templates; `short` for text messages. */
export interface Text {
  readonly subject: string;
  readonly body: string;
  readonly short: string;
}

const UNEXPECTED = "If this was not you, change your password and contact support at once.";

/** Makes the text of a notice. */
const notice = (what: string): Text => ({
  subject: `{service}: ${what.toLowerCase()}`,
  body: `${what} for your account at {service}.\n\nWhen: {time}\n\n${UNEXPECTED}\n`,
  short: `{service}: ${what.toLowerCase()} ({time}). ${UNEXPECTED}`,
});

/** By the name of the template. */
export const texts: Readonly<Record<string, Text>> = {
  code: {
    subject: "{service}: your code",
    body: "{code} is your code for {service}.\n\nIt is good once, for {minutes} minutes. Nobody from {service} will ever ask you for it. If you did not ask for a code, somebody may know your password: change it.\n",
    short:
      "{code} is your code for {service}, good for {minutes} minutes. Nobody from {service} will ever ask you for it.",
  },
  factor_added: notice("Added: {factor}"),
  factor_changed: notice("Changed: {factor}"),
  factor_enabled: notice("Switched on: {factor}"),
  factor_disabled: notice("Switched off: {factor}"),
  factor_removed: notice("Removed: {factor}"),
  factor_reset: notice("Removed by an administrator: {factor}"),
  factors_imported: notice("Second factors were brought over from another system"),
  backup_codes_generated: notice("New backup codes were made"),
  backup_codes_low: notice("Few backup codes are left"),
  backup_codes_exhausted: notice("The last backup code was used"),
  user_locked: notice("Codes were locked after too many wrong ones"),
  user_unlocked: notice("The lock after wrong codes was ended by an administrator"),
  user_reset: notice("All second factors were removed by an administrator"),
  device_trusted: notice("A new device is trusted"),
  device_trust_stolen: notice("A trusted device may have been copied; its trust has ended"),
  clone_suspected: notice("A passkey may have been copied"),
  push_denied_twice: notice("Requests for approval were denied twice; your phone is not asked for 15 minutes"),
  push_reported: notice("A request for approval was reported as not yours"),
  temporary_pass_issued: notice("An administrator issued a temporary pass"),
};

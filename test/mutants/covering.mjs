import { globSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/**
 * Which tests cover a place, the likeliest first. The first line that fits a file is its own; names are those of files
 * of test/ without `.test.ts`, and may hold `*`. The most general tests of log-ins stand behind each list.
 */
const lines = [
  ["src/assertions/raise", "api/step-up-assertion", "api/step-up", "api/assertions", "api/aal1"],
  ["src/assertions/methods", "unit/assertion-methods", "api/assertions"],
  ["src/assertions/", "api/assertions", "api/step-up-assertion", "unit/assertion*", "api/step-up"],
  ["src/audit/", "api/audit", "api/records", "api/refused-calls", "schedule/ends", "storage/*", "api/events"],
  [
    "src/(log-ins/evaluation|challenges/(from-decision|terms|eligibility|offers|proof-strength))",
    "api/decision-*",
    "api/challenges",
    "api/risk-decisions",
    "api/evaluate-*",
  ],
  [
    "src/challenges/challenges",
    "storage/challenges",
    "api/challenges",
    "api/challenge-*",
    "api/push-redemption",
    "api/decision-challenges",
  ],
  ["src/challenges/step-up", "api/step-up*", "api/push-redemption", "api/aal1"],
  ["src/log-ins/", "api/trusted-devices", "api/evaluate-*"],
  ["src/challenges/", "api/challenges", "api/assertions", "api/push-redemption", "api/purposes", "api/*-challenges"],
  ["src/crypto/rewrap", "schedule/rewrap", "unit/crypto-*"],
  ["src/crypto/recovery", "unit/recovery-code", "api/backup-codes", "api/temporary-pass"],
  ["src/crypto/page", "unit/page-token"],
  ["src/crypto/kdf", "unit/kdf-pool", "api/cost-and-caps"],
  ["src/crypto/", "unit/crypto-*", "schedule/rewrap", "faults/refused-starts", "api/totp"],
  ["src/db/", "storage/*", "faults/store-faults", "api/races", "api/erase*"],
  ["src/enforcement/", "api/enforcement", "api/evaluate-*", "api/coverage"],
  ["src/factors/backup", "api/backup-*", "api/aal1", "api/challenges", "api/events"],
  ["src/factors/otp/budgets", "unit/budgets", "api/send-limits", "schedule/ends"],
  ["src/factors/otp/send-limits", "api/send-limits", "api/otp"],
  ["src/factors/otp/(email|phone)", "unit/destinations", "api/otp"],
  ["src/factors/otp/", "api/otp*", "api/send-limits", "storage/otp-challenges", "api/notices", "api/races"],
  [
    "src/factors/push/",
    "api/push",
    "api/push-*",
    "api/device-principal",
    "delivery/push*",
    "delivery/service",
    "api/records",
  ],
  ["src/factors/temporary", "api/temporary-pass", "api/factors", "api/aal1"],
  ["src/factors/totp/totp-(code|judge)", "unit/totp-code", "api/totp*", "model/totp"],
  ["src/factors/totp/.*import", "api/import", "api/totp"],
  ["src/factors/totp/", "api/totp*", "api/last-factor*", "api/tickets", "api/races", "api/records"],
  ["src/factors/webauthn/.*import", "api/import"],
  ["src/factors/webauthn/(metadata|certificate|admission)", "api/webauthn-attestation", "api/webauthn*"],
  ["src/factors/webauthn/", "api/webauthn*", "api/events", "api/records", "browser/passkeys"],
  ["src/(four-eyes|resets)/", "api/approvals", "api/resets", "api/four-eyes"],
  ["src/coverage/", "api/coverage"],
  ["src/privacy/export", "api/export", "storage/subject-tables"],
  ["src/erasure/tombstones/", "api/erase*", "schedule/ends", "faults/erase-kill"],
  ["src/(erasure|privacy)/", "api/erase*", "api/export", "storage/subject-tables", "faults/erase-kill"],
  [
    "src/protection/(attempts|lock|proof)",
    "storage/attempts",
    "api/right-but-refused",
    "api/locks",
    "api/reported-locks",
    "api/taken-back",
    "api/totp",
    "model/totp",
  ],
  ["src/protection/enroll", "api/tickets", "api/webauthn-races", "api/totp-devices", "api/notices"],
  ["src/idempotency/", "api/request-ids", "schedule/ends"],
  ["src/enrollment-tickets/", "api/tickets", "api/resets", "api/enforcement"],
  ["src/risk/assess", "unit/risk-assessment", "api/risk-decisions"],
  ["src/risk/", "unit/risk-*", "api/risk-*", "api/evaluate-*", "api/decision-challenges"],
  ["src/rpc/access/authentication", "unit/authentication", "api/authorization-matrix"],
  ["src/rpc/access/authorization", "unit/authorization", "api/authorization-matrix", "api/step-up"],
  ["src/rpc/[\\w-]+/client", "unit/client-address", "api/client-origin"],
  ["src/rpc/access/device", "api/device-principal", "api/push"],
  [
    "src/rpc/access/gate\\.",
    "api/authorization-matrix",
    "api/step-up-assertion",
    "api/limits",
    "api/tls",
    "api/source-limits",
  ],
  ["src/rpc/gateway", "api/gateway*", "api/strange-calls", "api/limits"],
  ["src/rpc/[\\w-]+/rates", "unit/rates", "api/limits", "api/source-limits"],
  ["src/rpc/access/ticket", "api/tickets", "api/authorization-matrix", "api/erase-leftovers"],
  ["src/rpc/", "unit/*", "api/authorization-matrix", "api/limits", "api/transport"],
  ["src/schedule/", "schedule/*", "api/schedule", "faults/schedule-instances"],
  ["src/trusted-devices/", "api/trusted-devices", "api/evaluate-*", "api/assertions"],
  ["src/webhooks/", "api/webhooks", "delivery/webhook*", "unit/destinations"],
];

const general = ["api/challenges", "api/assertions", "api/locks", "api/events", "api/records", "api/factors"];

/** Returns the files of the tests that cover the place of a mutant, in the order that they are run in. */
export function covering({ file, tests = [] }, { withGeneral = false } = {}) {
  const [, ...names] = lines.find(([prefix]) => new RegExp(`^${prefix}`).test(file)) ?? ["", ...general];
  const files = [...tests, ...names, ...(withGeneral ? general : [])].flatMap((name) => {
    const found = globSync(`test/${name}.test.ts`, { cwd: root });
    return found.sort();
  });
  return [...new Set(files)];
}

import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { type Algorithm, createAssertionKeys } from "./assertions/assertion-keys.ts";
import { createAuditUpkeep } from "./audit/upkeep.ts";
import type { Keyring } from "./crypto/keyring.ts";
import { forgetEvents } from "./events/sequencer.ts";
import { retention } from "./retention.ts";
import { forgetRiskDecisions } from "./risk/risk-decisions.ts";
import { type BackupSettings, backUp } from "./schedule/database-backup.ts";
import { applyRetention } from "./schedule/retention.ts";
import type { Running, Task } from "./schedule/task.ts";
import type { SettingsOf } from "./tenant-settings/settings.ts";

/** Dependencies of scheduled tasks. */
export interface TaskOptions {
  readonly keyring: Keyring;
  readonly settingsOf: SettingsOf;
  /** The source of new assertion keys. */
  readonly algorithm: Algorithm;
  /** Folder and schedule of database backups; absent for none. */
  readonly backup?: (BackupSettings & { readonly schedule: string }) | undefined;
}

/** A thousand years: practically unlimited, and still a valid date. */
const EVER_MS = 1000 * 365 * 24 * 3600 * 1000;

const orForEver = (duration: Duration | undefined) => (duration ? durationMs(duration) : EVER_MS);

/** The scheduled tasks, one entry each: name, schedule, description and work. */
export function createTasks({ keyring, settingsOf, algorithm, backup }: TaskOptions): readonly Task[] {
  const auditKept = async (tenantId: string) => orForEver((await settingsOf(tenantId)).administration.auditRetention);
  const eventsKept = async (tenantId: string) => orForEver((await settingsOf(tenantId)).administration.eventRetention);
  const audit = ({ store, now }: Running) =>
    createAuditUpkeep({ store, keyring, clock: () => now, retentionMsOf: auditKept });
  /** Makes a task that applies retention rules. */
  const forgets = (name: keyof typeof retention, schedule: string, description: string): Task => ({
    ...{ name, schedule, description },
    run: ({ store, now }) => applyRetention(store, retention[name], now),
  });
  return [
    forgets("expired_rows", "PT10M", "Deletes expired challenges, ceremonies, tickets, enrollments and the like."),
    forgets("trusted_devices", "PT1H", "Forgets devices whose time of trust is over."),
    forgets("outbox", "PT1H", "Forgets messages that were settled a week ago."),
    forgets(
      "old_records",
      "PT1H",
      "Forgets old decisions, requests and runs, log-ins of users long gone, and counts that count nothing any more.",
    ),
    {
      name: "assertion_keys",
      description:
        "Rotates the assertion signing key: the new key signs after 20 minutes, the old one leaves the JWKS 20 minutes later.",
      schedule: "P90D",
      run: async ({ store, now }) =>
        Number(await createAssertionKeys({ store, keyring, clock: () => now, algorithm }).rotate()),
    },
    {
      name: "event_retention",
      description: "Deletes events older than their tenant's retention.",
      schedule: "PT1H",
      run: ({ store, now }) => forgetEvents(store, { now, retentionMsOf: eventsKept }),
    },
    {
      name: "risk_retention",
      description: "Deletes risk decisions older than their tenant's retention of events.",
      schedule: "PT1H",
      run: ({ store, now }) => forgetRiskDecisions(store, { now, retentionMsOf: eventsKept }),
    },
    {
      name: "audit_checkpoints",
      description: "Signs a checkpoint of each tenant's audit chain that has grown.",
      schedule: "PT1H",
      run: (running) => audit(running).checkpoint(),
    },
    {
      name: "audit_retention",
      description: "Deletes audit entries older than their tenant's retention.",
      schedule: "PT1H",
      run: (running) => audit(running).forget(),
    },
    {
      name: "key_rewrap",
      description: "Rewraps, with the primary key of the key file, data keys that a former key wrapped.",
      schedule: "PT1H",
      run: ({ store }) => keyring.rewrap(store),
    },
    ...(backup
      ? [
          {
            name: "database_backup",
            description: "Copies the database into the backup folder and deletes all but the newest copies.",
            schedule: backup.schedule,
            run: (running: Running) => backUp(running, backup),
          },
        ]
      : []),
  ];
}

import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { type Algorithm, createAssertionKeys } from "./assertions/assertion-keys.ts";
import { createAuditUpkeep } from "./audit/upkeep.ts";
import type { Keyring } from "./crypto/keyring.ts";
import { ends } from "./ends.ts";
import { forgetEvents } from "./events/placing.ts";
import { forgetRiskDecisions } from "./risk/risk-decisions.ts";
import { type BackupSettings, backUp } from "./schedule/database-backup.ts";
import { forgetEnded } from "./schedule/end.ts";
import type { Running, Task } from "./schedule/task.ts";
import type { SettingsOf } from "./tenants/settings.ts";

/** What scheduled tasks need of the process. */
export interface TaskOptions {
  readonly keyring: Keyring;
  readonly settingsOf: SettingsOf;
  /** What new keys of assertions sign with. */
  readonly algorithm: Algorithm;
  /** Where copies of the database go, and when; absent for none. */
  readonly backup?: (BackupSettings & { readonly schedule: string }) | undefined;
}

/** A thousand years: as long as for ever, and still a date. */
const EVER_MS = 1000 * 365 * 24 * 3600 * 1000;

const orForEver = (duration: Duration | undefined) => (duration ? durationMs(duration) : EVER_MS);

/** The service's own upkeep, one line a task: what is due when, and what it does. */
export function createTasks({ keyring, settingsOf, algorithm, backup }: TaskOptions): readonly Task[] {
  const auditKept = async (tenantId: string) => orForEver((await settingsOf(tenantId)).administration.auditRetention);
  const eventsKept = async (tenantId: string) => orForEver((await settingsOf(tenantId)).administration.eventRetention);
  const audit = ({ store, now }: Running) =>
    createAuditUpkeep({ store, keyring, clock: () => now, retentionMsOf: auditKept });
  /** A task that forgets what has ended. */
  const forgets = (name: keyof typeof ends, schedule: string, description: string): Task => ({
    ...{ name, schedule, description },
    run: ({ store, now }) => forgetEnded(store, ends[name], now),
  });
  return [
    forgets(
      "expired_rows",
      "PT10M",
      "Forgets challenges, ceremonies, tickets, enrolments and the like that have expired.",
    ),
    forgets("trusted_devices", "PT1H", "Forgets devices whose time of trust is over."),
    forgets("outbox", "PT1H", "Forgets messages that were settled a week ago."),
    forgets(
      "old_records",
      "PT1H",
      "Forgets old decisions, requests and runs, log-ins of users long gone, and counts that count nothing any more.",
    ),
    {
      name: "assertion_keys",
      description: "Has a new key sign assertions twenty minutes later; the old one is published until ten after that.",
      schedule: "P90D",
      run: async ({ store, now }) =>
        Number(await createAssertionKeys({ store, keyring, clock: () => now, algorithm }).rotate()),
    },
    {
      name: "event_retention",
      description: "Forgets events that are older than their tenant keeps them.",
      schedule: "PT1H",
      run: ({ store, now }) => forgetEvents(store, { now, retentionMsOf: eventsKept }),
    },
    {
      name: "risk_retention",
      description: "Forgets decisions about risk that are older than their tenant keeps events.",
      schedule: "PT1H",
      run: ({ store, now }) => forgetRiskDecisions(store, { now, retentionMsOf: eventsKept }),
    },
    {
      name: "audit_checkpoints",
      description: "States where each tenant's audit chain stands, signed.",
      schedule: "PT1H",
      run: (running) => audit(running).checkpoint(),
    },
    {
      name: "audit_retention",
      description: "Forgets audit entries that are older than their tenant keeps them.",
      schedule: "PT1H",
      run: (running) => audit(running).forget(),
    },
    {
      name: "key_rewrap",
      description: "Wraps anew, by the primary key of the key file, the data keys that a former one wrapped.",
      schedule: "PT1H",
      run: ({ store }) => keyring.rewrap(store),
    },
    ...(backup
      ? [
          {
            name: "database_backup",
            description: "Copies the database into the folder for backups, and forgets all but the newest copies.",
            schedule: backup.schedule,
            run: (running: Running) => backUp(running, backup),
          },
        ]
      : []),
  ];
}

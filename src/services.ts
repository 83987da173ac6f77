import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import { LockProfile } from "../gen/mfa/v1/tenant_settings_pb.js";
import type { Algorithm } from "./assertions/assertion-keys.ts";
import { createAuditHandlers } from "./audit/audit.handlers.ts";
import { createProofs } from "./challenges/index.ts";
import { challengeOutcomes } from "./challenges/outcomes.ts";
import type { KdfPool } from "./crypto/kdf-pool.ts";
import { createPageTokens } from "./crypto/page-token.ts";
import type { TimeOf } from "./db/database-time.ts";
import { createDeliveryHandlers } from "./delivery/delivery.handlers.ts";
import { createInbox } from "./delivery/inbox.ts";
import { createCompose } from "./delivery/letters.ts";
import type { MailRoom } from "./delivery/providers.ts";
import { createDeviceSyncHandlers } from "./device-sync/device-sync.handlers.ts";
import { createEnforcementHandlers } from "./enforcement/enforcement.handlers.ts";
import { overdueIn } from "./enforcement/enforcement.ts";
import { createEnforcementRules } from "./enforcement/enforcement-rules.ts";
import { createEventHandlers } from "./events/events.handlers.ts";
import { placeAllEvents } from "./events/placing.ts";
import { createFactorServices } from "./factors/factor-services.ts";
import { factors as registry } from "./factors/index.ts";
import { type ChannelName, otpChannels } from "./factors/otp/channels.ts";
import type { OtpAddressRow } from "./factors/otp/otp-addresses.repository.ts";
import type { PushWays } from "./factors/push/push-address.ts";
import { canEnrol } from "./factors/strength.ts";
import { countUnenrolled } from "./factors/unenrolled.ts";
import type { Metadata } from "./factors/webauthn/metadata.ts";
import { createRelatedOrigins } from "./factors/webauthn/related-origins.ts";
import { createIpWhitelistHandlers } from "./ip-whitelist/ip-whitelist.handlers.ts";
import { createListedNetworks } from "./ip-whitelist/listed-networks.ts";
import { createApprovals } from "./privacy/approvals.ts";
import { createCoverageHandlers } from "./privacy/coverage.handlers.ts";
import { createCoverage } from "./privacy/coverage.ts";
import { createErasure, type Erasure } from "./privacy/erasure.ts";
import { openLedger } from "./privacy/erasure-ledger.ts";
import { createExport } from "./privacy/export.ts";
import { createPrivacyHandlers } from "./privacy/privacy.handlers.ts";
import { createResetHandlers } from "./privacy/resets.handlers.ts";
import { subjectTables } from "./privacy/subject-data.repository.ts";
import { createLockoutHandlers } from "./protection/lockouts.handlers.ts";
import { createHistories } from "./risk/history.ts";
import { createJudging } from "./risk/judging.ts";
import type { Locations } from "./risk/locations.ts";
import { createRiskHandlers } from "./risk/risk.handlers.ts";
import { createRiskDecisions } from "./risk/risk-decisions.ts";
import { createRiskPolicies } from "./risk/risk-policies.ts";
import type { Serving } from "./rpc/call.ts";
import type { Devices } from "./rpc/device-authentication.ts";
import type { Raise } from "./rpc/gate.ts";
import type { Page } from "./rpc/gateway.ts";
import type { Served } from "./rpc/grpc-server.ts";
import { serve } from "./rpc/service.ts";
import { createScheduleHandlers } from "./schedule/schedule.handlers.ts";
import type { Task } from "./schedule/task.ts";
import { tables } from "./schema.ts";
import { createTasks, type TaskOptions } from "./tasks.ts";
import type { FileSettings } from "./tenants/settings.ts";
import { createTenantSettings } from "./tenants/tenant-settings.ts";
import { createTenantHandlers } from "./tenants/tenants.handlers.ts";
import { createTrustedDevices } from "./trusted-devices/trusted-devices.ts";
import { createHub } from "./watch/hub.ts";
import { createRounds, type RoundsOptions } from "./webhooks/rounds.ts";
import { createWebhookHandlers } from "./webhooks/webhooks.handlers.ts";
import type { WebhookOptions } from "./webhooks/webhooks.ts";

/** What the features need of the process. */
export interface App extends Omit<Serving, "lockProfileOf"> {
  /** Where costly hashes wait for their turn, so that nothing else waits for them. */
  readonly kdf: KdfPool;
  /** The time that all instances share. */
  readonly timeOf: TimeOf;
  /** The ways of sending codes that somebody carries. */
  readonly carried: ReadonlySet<ChannelName>;
  /** Whether what would have been sent may be read by developers. */
  readonly devMode: boolean;
  /** Where events may be delivered, and how. */
  readonly webhooks: Pick<RoundsOptions, "post" | "onFailed" | "onTrouble"> & Pick<WebhookOptions, "destinations">;
  /** The name that authenticator apps show for this service, unless a tenant has another. */
  readonly totpIssuer: string;
  /** The relying parties and origins of tenants that name none. */
  readonly webauthn: FileSettings["webauthn"];
  /** By which ways phones are told that something waits. */
  readonly pushWays: PushWays;
  /** Where phones find this service; empty leaves it to the app. */
  readonly pushAddress: string;
  /** What is known of models of authenticators. */
  readonly metadata: Metadata | undefined;
  /** Where addresses are, if a file says so. */
  readonly locations: Locations | undefined;
  /** The file that remembers erasures outside of the database. */
  readonly erasureLedger: string;
  /** Where copies of the database go, and when; absent for none. */
  readonly backup: TaskOptions["backup"];
  readonly assertions: { readonly issuer: string; readonly algorithm: Algorithm };
}

/** Every RPC of the contract. */
export const methods: readonly DescMethod[] = [MfaService, AdminMfaService, InternalMfaService].flatMap(
  (service): readonly DescMethod[] => service.methods,
);

/**
 * What every instance does by itself, beside the schedule: many times a minute, with leases of its own, so that any
 * number of instances may do it at once (`placing.ts`, `rounds.ts`; the worker of `delivery/` likewise), or with files
 * of its own (`erasure.ts`).
 */
export interface Pump {
  readonly name: string;
  readonly periodMs: number;
  run(): Promise<void>;
  /** Ends what a run began. */
  stop?(): Promise<void>;
}

const HOUR_MS = 3600 * 1000;
/** How long an event waits for its place at most, unless somebody asks for it. */
const PLACING_MS = 500;

/** What the API and the delivery of messages have in common, and what is to be cleaned up now and then. */
export interface Features {
  readonly services: readonly Served[];
  readonly mailRoom: MailRoom;
  readonly pumps: readonly Pump[];
  /** What one instance at a time does. */
  readonly tasks: readonly Task[];
  /** The file of related origins for a host; undefined where it is nobody's relying party. */
  readonly relatedOrigins: (host: string) => Promise<string | undefined>;
  /** What the door knows of paired phones. */
  readonly phones: Devices;
  /** Takes an assertion for the fresh second factor that an RPC asks for. */
  readonly raise: Raise;
  /** Makes up for erasures that the database has missed, before anybody is served. */
  readonly makeUp: Erasure["makeUp"];
  /** The public keys of assertions. */
  readonly keySet: () => Promise<Page>;
}

/** The whole API on one page: which feature answers which service. */
export function createServices(app: App): Features {
  const tenants = createTenantSettings({ store: app.store, clock: app.clock, file: app });
  const settings = createTenantHandlers(tenants);
  const { keyring, kdf, store, clock, carried, devMode, metadata } = app;
  const { settingsOf } = tenants;
  const lockProfileOf = async (tenantId: string) =>
    (await settingsOf(tenantId)).lockProfile === LockProfile.PCI ? "pci" : "standard";
  const serving: Serving = { ...app, lockProfileOf };
  const pageTokens = createPageTokens(keyring);
  const audit = createAuditHandlers({ store: app.store, keyring, pageTokens });
  const listedNetworks = createListedNetworks(store, clock);
  const networks = createIpWhitelistHandlers(pageTokens, listedNetworks);
  const lockouts = createLockoutHandlers(pageTokens);
  const unenrolled = (tenantId: string) => countUnenrolled(store, tenantId, clock());
  const rules = createEnforcementHandlers(
    createEnforcementRules({
      isSatisfiable: async (tenantId, strength) => canEnrol(registry, await settingsOf(tenantId), strength),
      countUnenrolled: unenrolled,
    }),
    pageTokens,
  );
  const policies = createRiskPolicies({ factors: registry, settingsOf, countUnenrolled: unenrolled });
  const histories = createHistories({ keyring, locations: app.locations });
  const judging = createJudging({ factors: registry, histories });
  const decisions = createRiskDecisions({
    judging,
    settingsOf,
    trustedDevices: createTrustedDevices(keyring),
    listedNetworks,
  });
  const risk = createRiskHandlers({ policies, decisions, pageTokens });
  const factors = createFactorServices({
    ...{ store, keyring, kdf, clock, settingsOf, pageTokens, carried, metadata, challenges: challengeOutcomes },
    push: { ways: app.pushWays, address: app.pushAddress, locate: (ip) => app.locations?.describe(ip) ?? "" },
  });
  const { otp, push, provers } = factors;
  const compose = createCompose({ settingsOf, addressOf: (owner, id) => otp.book.find(store, owner, id) });
  const delivery = createDeliveryHandlers(devMode ? createInbox({ keyring, compose }) : undefined, pageTokens);
  const mailRoom: MailRoom = {
    compose,
    listTold: (owner, since) => otp.book.listTold(store, owner, since),
    isCarried: async ({ tenantId }, channel) =>
      carried.has(channel) && otpChannels[channel].isOn(await settingsOf(tenantId)),
    limitNotices: otp.limitNotices,
    phones: push,
  };
  const hub = createHub(store, app.clock);
  const proofs = createProofs({
    ...app,
    hub,
    settingsOf,
    pageTokens,
    judging,
    histories,
    listedNetworks,
    factors: registry,
    provers,
  });
  const { describeAction, askPhones: ask } = proofs;
  const proved = factors.handlersWith({ challenges: proofs.user, describeAction, ask });
  const happened = createEventHandlers({ store, hub, pageTokens });
  const sync = createDeviceSyncHandlers(pageTokens);
  const hooks = createWebhookHandlers({ store, keyring, destinations: app.webhooks.destinations, pageTokens });
  const subjects = subjectTables(tables);
  const ledger = openLedger(app.erasureLedger);
  const erasure = createErasure({ store, keyring, clock, timeOf: app.timeOf, ledger, tables: subjects });
  const addressOf = (row: object) => otp.book.open(row as OtpAddressRow); // a row of that very table
  const privacy = createPrivacyHandlers(erasure, createExport({ tables: subjects, addressOf }));
  const coverage = createCoverageHandlers(createCoverage({ settingsOf, overdueIn }), pageTokens);
  const resets = createResetHandlers(createApprovals(settingsOf), pageTokens);
  const rounds = createRounds({ store, keyring, clock: app.clock, ...app.webhooks });
  const ended = new AbortController();
  const pumps: Pump[] = [
    { name: "events-placing", periodMs: PLACING_MS, run: () => placeAllEvents(store) },
    { name: "webhooks", periodMs: PLACING_MS, run: rounds.look, stop: rounds.stop },
    { name: "erasures", periodMs: HOUR_MS, run: () => erasure.upkeep(ended.signal), stop: async () => ended.abort() },
  ];
  const tasks = createTasks({ keyring, settingsOf, algorithm: app.assertions.algorithm, backup: app.backup });
  const schedule = createScheduleHandlers({ tasks, timeOf: app.timeOf, pageTokens });
  const services: Served[] = [
    {
      service: MfaService,
      implementation: serve(
        MfaService,
        {
          ...proved.user,
          ...proofs.user,
          ...sync.user,
        },
        serving,
      ),
    },
    {
      service: AdminMfaService,
      implementation: serve(
        AdminMfaService,
        {
          ...settings.admin,
          ...proved.admin,
          ...lockouts.admin,
          ...audit.admin,
          ...networks.admin,
          ...hooks.admin,
          ...risk.admin,
          ...rules.admin,
          ...schedule.admin,
          ...resets.admin,
          ...privacy.admin,
          ...coverage.admin,
        },
        serving,
      ),
    },
    {
      service: InternalMfaService,
      implementation: serve(
        InternalMfaService,
        {
          ...proved.internal,
          ...proofs.internal,
          ...delivery.internal,
          ...happened.internal,
          ...schedule.internal,
          ...privacy.internal,
        },
        serving,
      ),
    },
  ];
  const { raise, keySet } = proofs;
  const relatedOrigins = createRelatedOrigins(tenants.listAll, app.clock);
  const { makeUp } = erasure;
  return { services, pumps, tasks, mailRoom, phones: push.register, relatedOrigins, raise, keySet, makeUp };
}

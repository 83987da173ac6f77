import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { LockProfile } from "../../gen/mfa/v1/tenant_settings_pb.js";
import type { Algorithm } from "../assertions/assertion-keys.ts";
import { createAuditHandlers } from "../audit/audit.handlers.ts";
import { challengeOutcomes } from "../challenges/outcomes.ts";
import { createCoverageHandlers } from "../coverage/coverage.handlers.ts";
import { createCoverage } from "../coverage/coverage.ts";
import type { KdfPool } from "../crypto/kdf-pool.ts";
import { createPageTokens } from "../crypto/page-token.ts";
import { looksLikeServiceKey } from "../crypto/service-key.ts";
import type { TimeOf } from "../db/database-time.ts";
import { createDeliveryHandlers } from "../delivery/delivery.handlers.ts";
import { createInbox } from "../delivery/inbox.ts";
import type { MailRoom } from "../delivery/providers.ts";
import { createRendering } from "../delivery/rendering.ts";
import { createDeviceSyncHandlers } from "../device-sync/device-sync.handlers.ts";
import { createEnforcementHandlers } from "../enforcement/enforcement.handlers.ts";
import { overdueIn } from "../enforcement/enforcement.ts";
import { createEnforcementRules } from "../enforcement/enforcement-rules.ts";
import { createTickets } from "../enrollment-tickets/tickets.ts";
import { createPrivacyHandlers } from "../erasure/erasure.handlers.ts";
import { createErasure } from "../erasure/erasure.ts";
import { createExport } from "../erasure/export.ts";
import { openLedger } from "../erasure/ledger.ts";
import { subjectTables } from "../erasure/subject-data.repository.ts";
import { createEventHandlers } from "../events/events.handlers.ts";
import { createFactorServices } from "../factors/factor-services.ts";
import { factors as registry } from "../factors/index.ts";
import { type ChannelName, otpChannels } from "../factors/otp/channels.ts";
import type { OtpAddressRow } from "../factors/otp/otp-addresses.repository.ts";
import type { PushWays } from "../factors/push/push-address.ts";
import type { Metadata } from "../factors/webauthn/metadata.ts";
import { createRelatedOrigins } from "../factors/webauthn/related-origins.ts";
import { createApprovals } from "../four-eyes/approvals.ts";
import { createFourEyes } from "../four-eyes/four-eyes.ts";
import { createResetHandlers } from "../four-eyes/resets.handlers.ts";
import { createIpWhitelistHandlers } from "../ip-whitelist/ip-whitelist.handlers.ts";
import { createListedNetworks } from "../ip-whitelist/listed-networks.ts";
import { createLogInFeatures } from "../log-ins/index.ts";
import { createPromptHandlers } from "../prompt/prompts.handlers.ts";
import { createPrompts } from "../prompt/prompts.ts";
import { createLockoutHandlers } from "../protection/lockouts.handlers.ts";
import { createRiskEngine } from "../risk/engine.ts";
import { createHistories } from "../risk/history.ts";
import type { Locations } from "../risk/locations.ts";
import { createPolicyWarnings } from "../risk/policy-warnings.ts";
import { createRiskHandlers } from "../risk/risk.handlers.ts";
import { createRiskDecisions } from "../risk/risk-decisions.ts";
import { createRiskPolicies } from "../risk/risk-policies.ts";
import { conflictsOf, factorPolicyOf, unsatisfiable } from "../risk/satisfiable.ts";
import { createSettingsConsequences } from "../risk/settings-consequences.ts";
import { rpcPolicyOf as accessOf } from "../rpc/access/policy.ts";
import type { Serving } from "../rpc/serve/call.ts";
import { createScheduleHandlers } from "../schedule/schedule.handlers.ts";
import { tables } from "../schema.ts";
import { createServiceKeyAuthentication } from "../service-keys/service-key-authentication.ts";
import { createServiceKeyHandlers } from "../service-keys/service-keys.handlers.ts";
import { createNotifier } from "../streams/notifier.ts";
import { createTasks, type TaskOptions } from "../tasks.ts";
import type { FileSettings } from "../tenant-settings/settings.ts";
import { createTenantHandlers } from "../tenant-settings/tenant-settings.handlers.ts";
import { createTenantSettings } from "../tenant-settings/tenant-settings.ts";
import { createTrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { createUserTokenAuthentication, looksLikeUserToken } from "../user-tokens/user-token-authentication.ts";
import { createUserTokenHandlers } from "../user-tokens/user-tokens.handlers.ts";
import type { DispatcherOptions } from "../webhooks/dispatcher.ts";
import { createWebhookHandlers } from "../webhooks/webhooks.handlers.ts";
import type { WebhookOptions } from "../webhooks/webhooks.ts";
import { createBackgroundLoops } from "./background.ts";

/** Dependencies of the features. */
export interface App extends Omit<Serving, "lockProfileOf"> {
  /** The pool of scrypt derivations. */
  readonly kdf: KdfPool;
  /** The time that all instances share. */
  readonly timeOf: TimeOf;
  /** The channels that have a provider. */
  readonly carried: ReadonlySet<ChannelName>;
  /** Whether dev mode's inbox is on. */
  readonly devMode: boolean;
  /** The destinations and client of webhook deliveries. */
  readonly webhooks: Pick<DispatcherOptions, "post" | "onFailed" | "onTrouble"> & Pick<WebhookOptions, "destinations">;
  /** The name that authenticator apps show for this service, unless a tenant has another. */
  readonly totpIssuer: string;
  /** Default relying parties and origins of tenants. */
  readonly webauthn: FileSettings["webauthn"];
  /** The push providers. */
  readonly pushWays: PushWays;
  /** The service's address for phones; empty leaves it to the app. */
  readonly pushAddress: string;
  /** The origin that users reach hosted prompts at; undefined for none. */
  readonly promptAddress: string | undefined;
  /** The FIDO metadata of authenticator models. */
  readonly metadata: Metadata | undefined;
  /** The IP location database, if configured. */
  readonly locations: Locations | undefined;
  /** The erasure ledger, outside of the database. */
  readonly erasureLedger: string;
  /** Folder and schedule of database backups; absent for none. */
  readonly backup: TaskOptions["backup"];
  readonly assertions: { readonly issuer: string; readonly algorithm: Algorithm };
  /** Hears that the use of a service key could not be noted, which keeps nobody out. */
  readonly onUnnotedUse: (error: unknown) => void;
}

/** What a service key can be good for. */
const scopesOfBackends = new Set(InternalMfaService.methods.map((method) => accessOf(method).scope));

/** Each feature once, and the handlers of each, under its room's name: lower rooms first. */
export function createFeatures(app: App) {
  const warnings = createPolicyWarnings({ store: app.store, clock: app.clock, factors: registry });
  const consequences = createSettingsConsequences({ store: app.store, factors: registry, warnings });
  const tenants = createTenantSettings({ store: app.store, clock: app.clock, file: app, consequences });
  const settings = createTenantHandlers(tenants);
  const { keyring, kdf, store, clock, carried, devMode, metadata } = app;
  const { settingsOf, settingsIn } = tenants;
  const lockProfileOf = async (tenantId: string) =>
    (await settingsOf(tenantId)).lockProfile === LockProfile.PCI ? ("pci" as const) : ("standard" as const);
  const pageTokens = createPageTokens(keyring);
  const audit = createAuditHandlers({ store: app.store, keyring, pageTokens });
  const listedNetworks = createListedNetworks(store, clock);
  const networks = createIpWhitelistHandlers(pageTokens, listedNetworks);
  const lockouts = createLockoutHandlers(pageTokens);
  const rules = createEnforcementHandlers(
    createEnforcementRules({
      refuse: async (tx, { tenantId, ruleId }) => {
        const policy = await factorPolicyOf(tx, tenantId, await settingsIn(tx, tenantId));
        return unsatisfiable(conflictsOf(policy, registry).filter((conflict) => conflict.ruleId === ruleId));
      },
      countUnable: async (tenantId, strength) => warnings.unable(tenantId, strength, await settingsOf(tenantId)),
    }),
    pageTokens,
  );
  const policies = createRiskPolicies({ factors: registry, settingsOf, settingsIn, warnings });
  const locate = (ip: string) => app.locations?.describe(ip) ?? "";
  const trustedDevices = createTrustedDevices(keyring, locate);
  const tickets = createTickets(keyring);
  const histories = createHistories({ keyring, locations: app.locations });
  const judging = createRiskEngine({ factors: registry, histories });
  const decisions = createRiskDecisions({
    judging,
    settingsOf,
    trustedDevices,
    listedNetworks,
  });
  const risk = createRiskHandlers({ policies, decisions, pageTokens });
  const factors = createFactorServices({
    ...{ store, keyring, kdf, clock, settingsOf, settingsIn, pageTokens, carried, metadata },
    challenges: challengeOutcomes,
    push: { ways: app.pushWays, address: app.pushAddress, locate },
  });
  const { otp, push, provers } = factors;
  const compose = createRendering({
    settingsOf,
    addressOf: async (owner, id) => otp.book.find(store, owner, id, await settingsOf(owner.tenantId)),
    isOn: (channel, settings) => otpChannels[channel].isOn(settings),
  });
  const delivery = createDeliveryHandlers(devMode ? createInbox({ keyring, compose }) : undefined, pageTokens);
  const mailRoom: MailRoom = {
    compose,
    listTold: async (owner, since) =>
      otp.book.listTold(store, owner, { since, settings: await settingsOf(owner.tenantId) }),
    isCarried: async ({ tenantId }, channel) =>
      carried.has(channel) && otpChannels[channel].isOn(await settingsOf(tenantId)),
    limitNotices: otp.limitNotices,
    phones: push,
  };
  const notifier = createNotifier(store, app.clock);
  const proofs = createLogInFeatures({
    ...app,
    notifier,
    settingsOf,
    pageTokens,
    judging,
    histories,
    listedNetworks,
    trustedDevices,
    tickets,
    factors: registry,
    provers,
  });
  const { describeAction, askPhones: ask } = proofs;
  const prompts = createPrompts({
    ...{ store, keyring, clock, settingsOf, devMode, address: app.promptAddress },
    ...{ challenges: proofs.challenges, redemption: proofs.redemption, issuer: app.assertions.issuer },
  });
  const prompted = createPromptHandlers({ prompts, settingsOf, ...proofs.handlers.challenges });
  const proved = factors.handlersWith({ challenges: proofs.handlers.challenges.user, describeAction, ask });
  const happened = createEventHandlers({ store, notifier, pageTokens });
  const sync = createDeviceSyncHandlers(pageTokens);
  const keys = createServiceKeyHandlers({ keyring, scopes: scopesOfBackends, pageTokens });
  const tokens = createUserTokenHandlers({ ...proofs.stating, issuer: app.assertions.issuer, settingsOf });
  const hooks = createWebhookHandlers({ store, keyring, destinations: app.webhooks.destinations, pageTokens });
  const subjects = subjectTables(tables);
  const ledger = openLedger(app.erasureLedger);
  const erasure = createErasure({ store, keyring, clock, timeOf: app.timeOf, ledger, tables: subjects });
  const addressOf = (row: object) => otp.book.open(row as OtpAddressRow); // a row of that very table
  const privacy = createPrivacyHandlers(erasure, createExport({ tables: subjects, addressOf }));
  const coverage = createCoverageHandlers(createCoverage({ settingsOf, overdueIn }), pageTokens);
  const approvals = createApprovals(settingsOf);
  const resets = createResetHandlers(approvals, pageTokens);
  const fourEyes = createFourEyes({ approvals, settingsIn });
  const loops = createBackgroundLoops({ ...app, erasure, webhooks: app.webhooks });
  const tasks = createTasks({ keyring, settingsOf, algorithm: app.assertions.algorithm, backup: app.backup });
  const schedule = createScheduleHandlers({ tasks, timeOf: app.timeOf, pageTokens });
  const { raise, keySet, stating } = proofs;
  const ownBearers = [
    {
      check: "service-key" as const,
      isClaimed: looksLikeServiceKey,
      verify: createServiceKeyAuthentication({ store, keyring, clock, onTrouble: app.onUnnotedUse }),
    },
    {
      check: "user-token" as const,
      isClaimed: looksLikeUserToken,
      verify: createUserTokenAuthentication({
        ...{ store, keyring, settingsOf },
        ...{ issuer: app.assertions.issuer, keySet: stating.keys.keySet },
      }),
    },
  ];
  const relatedOrigins = createRelatedOrigins(tenants.listAll, app.clock);
  /** The handlers of each feature, under its room's name: the pages of the services pick from them. */
  const handlers = {
    ...{ ...proved, ...proofs.handlers },
    ...{ audit, coverage, delivery, lockouts, resets, risk, schedule },
    tenantSettings: settings,
    ipWhitelist: networks,
    enforcement: rules,
    events: happened,
    deviceSync: sync,
    serviceKeys: keys,
    userTokens: tokens,
    prompts: prompted,
    webhooks: hooks,
    erasure: privacy,
  };
  const { makeUp } = erasure;
  const doors = { phones: push.register, ownBearers, relatedOrigins, raise, keySet, tickets, prompts };
  return { handlers, fourEyes, lockProfileOf, loops, tasks, mailRoom, ...doors, makeUp };
}

/** What `createFeatures` makes. */
export type Features = ReturnType<typeof createFeatures>;

/** The handlers of each feature, under its room's name. */
export type FeatureHandlers = Features["handlers"];

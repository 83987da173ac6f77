import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Logger } from "pino";
import { type Config, pushWaysOf } from "./config.ts";
import { consolePages } from "./console/console-files.ts";
import { type Caller, ownerOf } from "./core/caller.ts";
import { repeat } from "./core/repeat.ts";
import { createKdfPool, type KdfPool } from "./crypto/kdf-pool.ts";
import { inspectKeys } from "./crypto/key-check.ts";
import { createKeyFile, readKeyFile } from "./crypto/key-file.ts";
import { openKeyring } from "./crypto/keyring.ts";
import { bearerId } from "./crypto/random.ts";
import type { RootKeys } from "./crypto/root-key.ts";
import { databaseTime } from "./db/database-time.ts";
import { claimMode } from "./db/installation.ts";
import { openStore } from "./db/open.ts";
import type { Store } from "./db/store.ts";
import { openProviders } from "./delivery/providers.ts";
import { startWorker, type Worker } from "./delivery/worker.ts";
import { openDevIssuer } from "./dev/dev-issuer.ts";
import { hasFactor, openMetadata } from "./factors/index.ts";
import { type Listening, openListeners, requireTls, type Shared } from "./listeners.ts";
import { wakingStore } from "./outbox/wake.ts";
import { deliveryLog, scheduleLog, unexpectedLog, webhookLog } from "./process-log.ts";
import { createTickets } from "./protection/tickets.ts";
import { writingAbout } from "./protection/tombstones.ts";
import { openLocations } from "./risk/locations.ts";
import { createAuthentication, type Issuer } from "./rpc/authentication.ts";
import { createCallLog, type EndedCall } from "./rpc/call-log.ts";
import { createVerifyHeader } from "./rpc/credentials.ts";
import { createDeviceAuthentication, type Devices } from "./rpc/device-authentication.ts";
import { createGate } from "./rpc/gate.ts";
import { HealthState } from "./rpc/health.ts";
import { keysOfFile, remoteKeys } from "./rpc/issuer-keys.ts";
import { createMetrics } from "./rpc/metrics.ts";
import { requirePolicies } from "./rpc/policy.ts";
import { limitRates } from "./rpc/rates.ts";
import { createRefusedCalls } from "./rpc/refused-calls.ts";
import { watchStore } from "./rpc/store-watch.ts";
import { createTicketAuthentication } from "./rpc/ticket-authentication.ts";
import { warmUpValidation } from "./rpc/validation.ts";
import { openScheduler } from "./schedule/scheduler.ts";
import { createServices, methods } from "./services.ts";
import { createDestinations } from "./webhooks/destination.ts";
import { createPost } from "./webhooks/post.ts";

/** A running service. */
export interface RunningServer {
  readonly listeners: readonly Pick<Listening, "kind" | "host" | "port">[];
  /** Compiles what first calls would wait for; to be started once the server is ready. */
  warmUp(): Promise<void>;
  /**
   * Drains the listeners and the delivery of messages, then closes the store: whatever was acknowledged is on disk when
   * it resolves, and what was not delivered goes on after the next start.
   */
  stop(): Promise<void>;
}

/** What a test or an embedding program may replace. */
export interface StartOptions {
  readonly log: Logger;
  readonly clock?: () => Date;
  /** An open store in place of the configured database; closed on stop like it. */
  readonly store?: Store;
  /** A pool that several services of one process share, or that a test holds up. */
  readonly kdf?: KdfPool;
  /** What is known of push devices, in place of the paired ones. */
  readonly devices?: Devices;
}

const GRACE_MS = 10_000;
const DELIVERY_GRACE_MS = 3_000;

/** The configured issuers; throws when one's file cannot be used. */
const openIssuers = ({ issuers }: Config): Promise<Issuer[]> =>
  Promise.all(
    issuers.map(async ({ issuer, jwksFile, jwksUrl, audiences, tenant, operator }) => {
      const keys = jwksUrl ? remoteKeys(jwksUrl) : await keysOfFile(jwksFile ?? "");
      return { issuer, keys, audiences, tenantId: tenant, operator };
    }),
  );

/** Where copies of the database go, if anywhere. */
const backupOf = ({ backup: { folder, ...rest } }: Config) => (folder === undefined ? undefined : { folder, ...rest });

/** The name of this instance among those that share a database. */
const instanceName = () => `${hostname()}-${process.pid}-${bearerId().slice(0, 6)}`;

/** The keys as they are before the first start of dev mode has made any. */
const noKeys: Pick<RootKeys, "all"> = { all: new Map() };

/** Which origins share the passkeys of the relying party that is asked. */
const wellKnown = (relatedOrigins: (host: string) => Promise<string | undefined>) => async (host: string) => {
  const body = await relatedOrigins(host);
  return body === undefined ? { status: 404 } : { status: 200, type: "application/json", body };
};

/** Reads every file that a start needs, so that a start without one of them changes nothing. */
async function readFiles(config: Config) {
  const issuers = await openIssuers(config);
  await requireTls(config.listeners);
  const first = config.mode === "dev" && !existsSync(config.keyFile);
  const { caFile } = config.webhooks;
  const ca = caFile === undefined ? undefined : await readFile(caFile, "utf8");
  const locations = await openLocations(config.risk.locationsFile);
  return { issuers, ca, locations, inspect: inspectKeys(first ? noKeys : await readKeyFile(config.keyFile)) };
}

type Files = Pick<Awaited<ReturnType<typeof readFiles>>, "issuers" | "ca" | "locations">;

/** Everything that is served, and what goes on beside it: all there before the first listener opens. */
async function assemble(config: Config, opened: Store, { issuers, ca, locations }: Files, options: StartOptions) {
  const { log, clock = () => new Date(), kdf = createKdfPool() } = options;
  await claimMode(opened, config.mode); // before any key leaves a trace in the database
  if (config.mode === "dev") await createKeyFile(config.keyFile);
  const keyring = await openKeyring(await readKeyFile(config.keyFile), opened, clock);
  let worker: Worker | undefined;
  const store = wakingStore(opened, () => worker?.wake());
  const { totp, webauthn, push } = config;
  const metadata = await openMetadata(webauthn, clock());
  if (metadata && metadata.nextUpdate < clock()) log.warn("the metadata of authenticators is out of date");
  const destinations = createDestinations(config.webhooks.networks);
  const { post, close: closePost } = createPost({ destinations, ca });
  const metrics = createMetrics();
  const limits = limitRates(config.rates, metrics.limit);
  const tellRefused = createRefusedCalls({
    ...{ store, keyring, clock, onLimit: metrics.limit },
    onTrouble: (err) => log.error({ err }, "a refused call is not in the audit trail"),
  });
  const devMode = config.mode === "dev";
  const carried = new Set((["sms", "email"] as const).filter((channel) => devMode || config.delivery[channel]));
  // Whoever brings a clock means it for everything.
  const timeOf = options.clock ? async () => clock() : databaseTime(store);
  const { services, pumps, tasks, mailRoom, phones, relatedOrigins, raise, keySet, makeUp } = createServices({
    ...{ store, keyring, kdf, clock, timeOf, hasFactor, carried, devMode },
    webhooks: { destinations, post, ...webhookLog(log) },
    ...{ maxWorkMs: config.limits.maxWorkMs, onLimit: metrics.limit, guess: limits.guess, tellRefused },
    ...{
      totpIssuer: totp.issuer,
      webauthn,
      metadata,
      locations,
      pushWays: pushWaysOf(config),
      pushAddress: push.address,
    },
    assertions: config.assertions,
    erasureLedger: config.erasureLedger,
    backup: backupOf(config),
  });
  const descriptors = services.map(({ service }) => service);
  requirePolicies(descriptors);

  const isEnrolled = (caller: Caller) => store.read((tx) => hasFactor(tx, ownerOf(caller)));
  const verify = createVerifyHeader(
    createAuthentication(config.mode === "dev" ? [...issuers, await openDevIssuer(config.dataDir)] : issuers),
    createTicketAuthentication(store, createTickets(keyring), isEnrolled),
    createDeviceAuthentication(
      (owner, begun) => writingAbout(store, keyring, owner, { begun }),
      options.devices ?? phones,
    ),
  );
  const gate = createGate(verify, limits, isEnrolled, { clock, raise, tellRefused });
  const health = new HealthState(descriptors.map(({ typeName }) => typeName));
  const watch = watchStore(store, health);
  metrics.gauge("mfa_serving", "1 while health is SERVING: the store answers and nobody stops us.", () =>
    Number(health.serving),
  );
  metrics.gauge("mfa_rates_remembered", "Callers and sources whose rates are remembered.", limits.sizes, "kind");
  const writeLine = createCallLog(log);
  const shared: Shared = {
    services,
    gate,
    health,
    reflection: config.reflection,
    pages: new Map([
      ...(config.passkeyPages ? consolePages() : []),
      ["/.well-known/webauthn", wellKnown(relatedOrigins)] as const,
    ]),
    onUnexpected: unexpectedLog(log, watch),
    logCall: (call: EndedCall) => {
      writeLine(call);
      metrics.ended(call);
    },
    limits: config.limits,
    onLimit: metrics.limit,
    metrics,
    keySet,
    onUnusableTls: (err: Error, listener: string) => log.error({ listener, err }, "a new certificate cannot be used"),
  };
  const providers = await openProviders({ store, keyring, clock, carriers: config.delivery, devMode, ...mailRoom });
  const { erased } = await makeUp();
  if (erased > 0) log.warn({ users: erased }, "erased again: users whom the database had forgotten to be erased");
  const schedule = await openScheduler({
    ...{ store, timeOf, tasks, instance: instanceName(), enabled: config.schedule.enabled },
    ...scheduleLog(log, metrics),
  });
  /** Begins what goes on beside the calls; what it answers ends that. */
  const begin = () => {
    const delivery = startWorker({ store, keyring, clock, providers, ...deliveryLog(log) });
    worker = delivery;
    const repeating = pumps.map(({ name, periodMs, run, stop }) => {
      const task = repeat(run, periodMs, (err) => log.error({ task: name, err }, "a task did not end well"));
      const end = async () => {
        await stop?.();
        await task.stop();
      };
      return { stop: end };
    });
    repeating.push(schedule.start());
    return async () => {
      await Promise.all(repeating.map((task) => task.stop()));
      closePost();
      await delivery.stop(DELIVERY_GRACE_MS);
    };
  };
  return { shared, health, watch, begin };
}

/**
 * Opens the store, checks the keys, listens. A database of the other mode, of a newer version or under other keys
 * is refused with nothing written to it, not even a migration; so is a start without one of its files.
 */
export async function startServer(config: Config, options: StartOptions): Promise<RunningServer> {
  const { log } = options;
  const onSlowUnit = (ms: number) => log.warn({ ms: Math.round(ms) }, "a unit of work held the writer");
  const { inspect, ...files } = await readFiles(config);
  const { mode, database: url } = config;
  const store = options.store ?? (await openStore({ url, mode, inspect, onSlowUnit }));
  try {
    const { shared, health, watch, begin } = await assemble(config, store, files, options);
    const listeners = await openListeners(config.listeners, shared);
    const end = begin();
    const stop = async () => {
      watch.end();
      health.end();
      await Promise.all(listeners.map((listener) => listener.drain(GRACE_MS)));
      await end();
      await store.close();
    };
    return { listeners, warmUp: () => warmUpValidation(methods), stop };
  } catch (error) {
    await store.close();
    throw error;
  }
}

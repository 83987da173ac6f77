import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import type { Logger } from "pino";
import { type App, createFeatures } from "./compose/features.ts";
import { createServices, methods } from "./compose/services.ts";
import { type Config, pushWaysOf } from "./config/config.ts";
import { unknownScopes } from "./config/granted-scopes.ts";
import { type Caller, ownerOf } from "./core/caller.ts";
import { repeat } from "./core/repeat.ts";
import { createKdfPool, type KdfPool } from "./crypto/kdf-pool.ts";
import { inspectKeys } from "./crypto/key-check.ts";
import { createKeyFile, readKeyFile } from "./crypto/key-file.ts";
import { openKeyring, openMacs } from "./crypto/keyring.ts";
import { bearerId } from "./crypto/random.ts";
import type { RootKeys } from "./crypto/root-key.ts";
import { addToBoundMark, readBoundMark } from "./db/bound-mark.ts";
import { bindingStore } from "./db/bound-rows.ts";
import { databaseTime } from "./db/database-time.ts";
import { claimMode } from "./db/installation.ts";
import { databaseLocationOf, installedMarks } from "./db/installed.ts";
import { openStore } from "./db/open.ts";
import type { Store } from "./db/store.ts";
import { openProviders } from "./delivery/providers.ts";
import { createReceipts } from "./delivery/receipts.ts";
import { startWorker, type Worker } from "./delivery/worker.ts";
import { openDevIssuer } from "./dev/dev-issuer.ts";
import { openLedger } from "./erasure/ledger.ts";
import { writingAbout } from "./erasure/tombstones/tombstones.ts";
import { hasFactor, openMetadata } from "./factors/index.ts";
import { drainAll, type Listening, openListeners, requireTls, type Shared } from "./listeners.ts";
import { cutLog, deliveryLog, scheduleLog, tokenLog, unexpectedLog, webhookLog } from "./log/process-log.ts";
import { wakingStore } from "./outbox/wake.ts";
import { createPromptAuthentication, createPromptOpening } from "./prompt/prompt-opening.ts";
import { openLocations } from "./risk/locations.ts";
import { createTokenAuthentication } from "./rpc/access/authentication.ts";
import { createVerifyHeader } from "./rpc/access/credentials.ts";
import { createDeviceAuthentication, type Devices } from "./rpc/access/device-authentication.ts";
import { createGate } from "./rpc/access/gate.ts";
import { requirePolicies } from "./rpc/access/policy.ts";
import { createRecognise } from "./rpc/access/recognise.ts";
import { createTicketAuthentication } from "./rpc/access/ticket-authentication.ts";
import { type OpenedIssuer, openIssuer } from "./rpc/access/tokens/configured.ts";
import { telling } from "./rpc/access/tokens/told.ts";
import { pageFiles } from "./rpc/gateway/page-files.ts";
import { HealthState } from "./rpc/grpc/health.ts";
import { createLoad } from "./rpc/limits/load.ts";
import { limitRates } from "./rpc/limits/rates.ts";
import { createCallLog, type EndedCall } from "./rpc/serve/call-log.ts";
import { createMetrics } from "./rpc/serve/metrics.ts";
import { createRefusedCalls } from "./rpc/serve/refused-calls.ts";
import { watchStore } from "./rpc/serve/store-watch.ts";
import { warmUpValidation } from "./rpc/serve/validation.ts";
import { openScheduler } from "./schedule/scheduler.ts";
import { certificateDays } from "./startup/certificates.ts";
import { tellAtStart } from "./startup/told.ts";
import { requireWritable } from "./startup/writable.ts";
import { versionOf } from "./version.ts";
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
  /** How many lines of the log could not be kept. */
  readonly logLost?: () => number;
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

/** The configured issuers; throws, naming the setting, when one's file cannot be used. */
const openIssuers = ({ issuers }: Config): Promise<OpenedIssuer[]> =>
  Promise.all(
    issuers.map((issuer, n) =>
      openIssuer(issuer).catch((cause: NodeJS.ErrnoException) => {
        const why = cause.code === "ENOENT" ? `there is no file ${issuer.jwksFile}` : cause.message;
        throw new Error(`issuers.${n}.jwksFile: ${why}`, { cause });
      }),
    ),
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

/** The file that names the tables whose rows have their MACs: no start gives one to a row of theirs. */
const boundMark = ({ erasureLedger }: Config) => join(dirname(erasureLedger), "rows.bound");

/** Reads every file that a start needs, so that a start without one of them changes nothing. */
async function readFiles(config: Config) {
  const issuers = await openIssuers(config);
  await requireTls(config.listeners);
  await requireWritable(config);
  const first = config.mode === "dev" && !existsSync(config.keyFile);
  const { caFile } = config.webhooks;
  const ca = caFile === undefined ? undefined : await readFile(caFile, "utf8");
  const locations = await openLocations(config.risk.locationsFile);
  const keys = first ? undefined : await readKeyFile(config.keyFile);
  // Once for each table: a row without a MAC is from before there were any, or from somebody else.
  const bound = { adopting: keys && openMacs(keys), boundBefore: await readBoundMark(boundMark(config)) };
  return { issuers, ca, locations, inspect: inspectKeys(keys ?? noKeys), bound };
}

type Files = Pick<Awaited<ReturnType<typeof readFiles>>, "issuers" | "ca" | "locations">;

/** Everything that is served, and what goes on beside it: all there before the first listener opens. */
async function assemble(config: Config, opened: Store, { issuers, ca, locations }: Files, options: StartOptions) {
  const { log, clock = () => new Date(), kdf = createKdfPool() } = options;
  await claimMode(opened, config.mode); // before any key leaves a trace in the database
  if (config.mode === "dev") await createKeyFile(config.keyFile);
  const keyring = await openKeyring(await readKeyFile(config.keyFile), opened, clock);
  let worker: Worker | undefined;
  const onTampered = (table: string) =>
    log.error({ table }, "a row fails its integrity check (MAC): the database was written to by somebody else");
  const store = wakingStore(bindingStore(opened, keyring, onTampered), () => worker?.wake());
  const { totp, webauthn, push } = config;
  const metadata = await openMetadata(webauthn, clock());
  if (metadata && metadata.nextUpdate < clock()) log.warn("the FIDO metadata file is out of date: download a new one");
  const destinations = createDestinations(config.webhooks.networks);
  const { post, close: closePost } = createPost({ destinations, ca });
  const metrics = createMetrics();
  const limits = limitRates(config.rates, metrics.limit);
  const tellRefused = createRefusedCalls({
    ...{ store, keyring, clock, onLimit: metrics.limit },
    onTrouble: (err) => log.error({ err }, "a refused call could not be recorded in the audit trail"),
  });
  const devMode = config.mode === "dev";
  const carried = new Set((["sms", "email"] as const).filter((channel) => devMode || config.delivery[channel]));
  // Whoever brings a clock means it for everything.
  const timeOf = options.clock ? async () => clock() : databaseTime(store);
  const app: App = {
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
      promptAddress: config.prompt.address,
    },
    assertions: config.assertions,
    onUnnotedUse: (err) => log.error({ err }, "the use of a service key could not be noted"),
    erasureLedger: config.erasureLedger,
    backup: backupOf(config),
  };
  const features = createFeatures(app);
  const { loops, tasks, mailRoom, phones, ownBearers, relatedOrigins, raise, keySet, tickets, prompts, makeUp } =
    features;
  const services = createServices(features, { ...app, lockProfileOf: features.lockProfileOf });
  const descriptors = services.map(({ service }) => service);
  const { scopes } = requirePolicies(descriptors);
  for (const fault of unknownScopes(config, scopes)) log.warn(fault);

  const isEnrolled = (caller: Caller) => store.read((tx) => hasFactor(tx, ownerOf(caller)));
  const authenticate = createTokenAuthentication(
    config.mode === "dev" ? [...issuers, await openDevIssuer(config.dataDir)] : issuers,
  );
  const { tell, onUnusableKeys } = tokenLog(log);
  const told = { tell, count: metrics.credentialRefused, tellsCaller: devMode };
  const verifyHeader = createVerifyHeader({
    authenticate,
    own: ownBearers,
    ticket: createTicketAuthentication(store, tickets, isEnrolled),
    device: createDeviceAuthentication(
      (owner, begun) => writingAbout(store, keyring, owner, { begun }),
      options.devices ?? phones,
    ),
    prompt: createPromptAuthentication(prompts),
  });
  const verify = telling(verifyHeader, told);
  const gate = createGate(verify, limits, isEnrolled, { clock, raise, tellRefused, tellsCaller: devMode });
  const health = new HealthState(descriptors.map(({ typeName }) => typeName));
  const watch = watchStore(store, health);
  metrics.gauge("mfa_serving", "1 while health is SERVING: the store answers and nobody stops us.", () =>
    Number(health.serving),
  );
  metrics.gauge(
    "mfa_log_lines_lost",
    "Lines of the log that could not be written and were dropped.",
    () => options.logLost?.() ?? 0,
  );
  metrics.gauge("mfa_rates_remembered", "Callers and sources whose rates are remembered.", limits.sizes, "kind");
  const lastingOf = () => certificateDays(config, new Date());
  metrics.gauge("mfa_certificate_days_left", "Days until a listener's certificate expires.", lastingOf, "listener");
  metrics.gauge("mfa_build_info", "1, with the version.", () => ({ [versionOf()]: 1 }), "version");
  const writeLine = createCallLog(log);
  const providers = await openProviders({ store, keyring, clock, carriers: config.delivery, devMode, ...mailRoom });
  const delivered = deliveryLog(log, metrics);
  const load = createLoad(config.limits, metrics.limit);
  metrics.gauge(
    "mfa_work",
    "Calls that run and that wait, and places to run in.",
    () => ({ ...load.work.counts() }),
    "state",
  );
  const shared: Shared = {
    load,
    services,
    gate,
    health,
    reflection: config.reflection,
    loopbackOrigins: config.mode === "dev",
    peers: { recognise: createRecognise({ authenticate, own: ownBearers, limits, clock }), ...cutLog(log) },
    pages: new Map([
      ...(config.passkeyPages ? pageFiles("console") : []),
      ...pageFiles("prompt"),
      ["/.well-known/webauthn", wellKnown(relatedOrigins)] as const,
      ["/prompt/open", createPromptOpening(prompts, limits)] as const,
    ]),
    receivers: createReceipts({ store, clock, providers, ...delivered }),
    onUnexpected: unexpectedLog(log, watch, metrics.storeDamaged),
    logCall: (call: EndedCall) => {
      writeLine(call);
      watch.called();
      metrics.ended(call);
    },
    limits: config.limits,
    onLimit: metrics.limit,
    metrics,
    keySet,
    onUnusableTls: (err: Error, listener: string) =>
      log.error({ listener, err }, "changed TLS files cannot be used: the former certificate stays"),
  };
  const { erased } = await makeUp();
  if (erased > 0) log.warn({ users: erased }, "re-applied erasures that were missing from the restored database");
  const schedule = await openScheduler({
    ...{ store, timeOf, tasks, instance: instanceName(), enabled: config.schedule.enabled },
    ...scheduleLog(log, metrics),
  });
  /** Begins what goes on beside the calls; what it answers ends that. */
  const begin = () => {
    // An issuer that is away keeps nobody from starting; one whose keys are of no use is told of before its tokens come.
    for (const { issuer, lookAtKeys } of issuers) {
      lookAtKeys().then(
        (why) => why !== undefined && onUnusableKeys(issuer, why),
        (err) => log.error({ issuer, err }, "the keys of an issuer could not be looked at"),
      );
    }
    const delivery = startWorker({ store, keyring, clock, timeOf, providers, ...delivered });
    worker = delivery;
    const repeating = loops.map(({ name, periodMs, run, stop }) => {
      const task = repeat(run, periodMs, (err) =>
        log.error({ task: name, err }, "a background loop failed and will run again"),
      );
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

/** The file that says that this installation has had a database where it is to be now; undefined where none says so. */
async function databaseBefore({ database, erasureLedger }: Config, marks: ReturnType<typeof installedMarks>) {
  const known = await marks.find(database);
  const erasures = known === undefined ? await openLedger(erasureLedger).list() : [];
  return known ?? (erasures.length > 0 ? erasureLedger : undefined);
}

const noDatabase = ({ database, mode }: Config, witness: string) =>
  `there is no database at ${databaseLocationOf(database)}, where this installation has had one (${witness} says so): ` +
  "put it back or restore a backup; " +
  `or begin with an empty one, without any user's factors, by ${mode === "dev" ? "`npm start -- --new`" : "starting once with --new"}`;

/**
 * Opens the store, checks the keys, listens. A database of the other mode, of a newer version or under other keys
 * is refused with nothing written to it, not even a migration; so is a start without one of its files.
 */
export async function startServer(config: Config, options: StartOptions): Promise<RunningServer> {
  const { log } = options;
  const onSlowUnit = (ms: number) => log.warn({ ms: Math.round(ms) }, "a slow transaction blocked writers");
  const { inspect, bound, ...files } = await readFiles(config);
  const { mode, database: url } = config;
  const marks = installedMarks([`${config.keyFile}.databases`, `${config.erasureLedger}.databases`]);
  const had = config.isNew ? undefined : await databaseBefore(config, marks);
  const onNew = () => {
    if (had !== undefined) throw new Error(noDatabase(config, had));
  };
  const store = options.store ?? (await openStore({ url, mode, inspect, ...bound, onSlowUnit, onNew }));
  try {
    await addToBoundMark(boundMark(config));
    const { shared, health, watch, begin } = await assemble(config, store, files, options);
    const listeners = await openListeners(config.listeners, shared);
    const end = begin();
    // Whoever brings a clock compares it with nobody's.
    if (!options.clock) void tellAtStart(log, config, store);
    if (!options.store) await marks.note(url);
    const stop = async () => {
      watch.end();
      health.end();
      await drainAll(listeners, GRACE_MS);
      await end();
      await store.close();
    };
    return { listeners, warmUp: () => warmUpValidation(methods), stop };
  } catch (error) {
    await store.close();
    throw error;
  }
}

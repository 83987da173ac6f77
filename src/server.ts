import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { ownerOf } from "./core/caller.ts";
import { createKeyFile, readKeyFile } from "./crypto/key-file.ts";
import { openKeyring } from "./crypto/keyring.ts";
import { claimMode } from "./db/installation.ts";
import { openStore } from "./db/open.ts";
import type { Store } from "./db/store.ts";
import { openDevIssuer } from "./dev/dev-issuer.ts";
import { hasFactor } from "./factors/index.ts";
import { createAuthentication, type Issuer } from "./rpc/authentication.ts";
import { createGate } from "./rpc/gate.ts";
import { listenGrpc } from "./rpc/grpc-server.ts";
import { requirePolicies } from "./rpc/policy.ts";
import { warmUpValidation } from "./rpc/validation.ts";
import { builtMethods, createServices } from "./services.ts";

/** A running service. */
export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** Compiles what first calls would wait for; to be started once the server is ready. */
  warmUp(): Promise<void>;
  /** Drains the listener, then closes the store: whatever was acknowledged is on disk when it resolves. */
  stop(): Promise<void>;
}

/** What a test or an embedding program may replace. */
export interface StartOptions {
  readonly log: Logger;
  readonly clock?: () => Date;
  /** An open store in place of the configured database; closed on stop like it. */
  readonly store?: Store;
}

const GRACE_MS = 10_000;

async function readIssuers({ issuers, mode, dataDir }: Config): Promise<Issuer[]> {
  const configured = issuers.map(async ({ issuer, jwksFile, tenant }) => ({
    issuer,
    jwks: JSON.parse(await readFile(jwksFile, "utf8")),
    tenantId: tenant,
  }));
  return Promise.all(mode === "dev" ? [...configured, openDevIssuer(dataDir)] : configured);
}

async function readTls({ listen: { tls } }: Config) {
  if (!tls) return undefined;
  const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
  return { cert, key };
}

async function listen(config: Config, store: Store, { log, clock = () => new Date() }: StartOptions) {
  await claimMode(store, config.mode); // before any key leaves a trace in the database
  if (config.mode === "dev") await createKeyFile(config.keyFile);
  const keyring = await openKeyring(await readKeyFile(config.keyFile), store, clock);
  const services = createServices({ store, keyring, clock, hasFactor, totpIssuer: config.totp.issuer });
  requirePolicies(services.map(({ service }) => service));

  const isEnrolled = (caller: Parameters<typeof ownerOf>[0]) => store.read((tx) => hasFactor(tx, ownerOf(caller)));
  const gate = createGate(createAuthentication(await readIssuers(config)), isEnrolled, clock);
  return listenGrpc({
    services,
    gate,
    host: config.listen.host,
    port: config.listen.port,
    tls: await readTls(config),
    reflection: config.reflection,
    // A driver's error only: a query's own message would hold its parameters.
    onUnexpected: (thrown, method) => log.error({ rpc: method.name, err: thrown }, "unexpected error"),
  });
}

/**
 * Opens the store, checks the keys, listens. A database of the other mode or of a newer version is refused with nothing
 * written to it, not even a migration; one with other keys, with none of ours written.
 */
export async function startServer(config: Config, options: StartOptions): Promise<RunningServer> {
  const { log } = options;
  const onSlowUnit = (ms: number) => log.warn({ ms: Math.round(ms) }, "a unit of work held the writer");
  const store = options.store ?? (await openStore({ url: config.database, mode: config.mode, onSlowUnit }));
  try {
    const server = await listen(config, store, options);
    const stop = async () => {
      await server.drain(GRACE_MS);
      await store.close();
    };
    const warmUp = () => warmUpValidation(builtMethods);
    return { host: config.listen.host, port: server.port, warmUp, stop };
  } catch (error) {
    await store.close();
    throw error;
  }
}

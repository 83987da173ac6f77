import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import type { ListenerSettings } from "./config/listener-settings.ts";
import { createIdentify } from "./rpc/access/certificate-identity.ts";
import type { Gate } from "./rpc/access/gate.ts";
import { listenGateway, type Pages, type StaticPage } from "./rpc/gateway/gateway.ts";
import type { Receivers } from "./rpc/gateway/received-posts.ts";
import type { HealthState } from "./rpc/grpc/health.ts";
import type { OtherPort } from "./rpc/grpc/other-protocols.ts";
import { type ListeningServer, listenGrpc, type Served } from "./rpc/grpc/server.ts";
import { readTls, type TlsMaterial, watchTls } from "./rpc/grpc/tls-files.ts";
import type { ListenerLimits, OnLimit } from "./rpc/limits/listener-limits.ts";
import type { Load } from "./rpc/limits/load.ts";
import type { PeerReports } from "./rpc/limits/rapid-reset.ts";
import type { LogCall } from "./rpc/serve/call-log.ts";
import type { Metrics } from "./rpc/serve/metrics.ts";

/** Dependencies shared by all listeners of a process. */
export interface Shared {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly health: HealthState;
  readonly reflection: boolean;
  /** Whether pages of this machine may call, on any port: in dev mode. */
  readonly loopbackOrigins: boolean;
  readonly peers: PeerReports;
  readonly load: Load;
  /** Static pages of the browsers' listener. */
  readonly pages: Pages;
  /** Paths for carriers' delivery reports. */
  readonly receivers: Receivers;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall: LogCall;
  readonly limits: ListenerLimits;
  readonly onLimit: OnLimit;
  readonly metrics: Metrics;
  /** The public keys of assertions. */
  readonly keySet: () => Promise<StaticPage>;
  /** Called once for changed TLS files that cannot be used; the listener keeps its certificate. */
  readonly onUnusableTls: (error: Error, kind: ListenerSettings["kind"]) => void;
}

/** A listener with its configuration. */
export interface Listening extends ListeningServer {
  readonly kind: ListenerSettings["kind"];
  readonly host: string;
}

/** What a listener is opened with beside its settings. */
interface Opening {
  readonly shared: Shared;
  /** Where the others listen, once they do. */
  readonly otherPorts: () => readonly OtherPort[];
}

async function listenAs(
  settings: ListenerSettings,
  { shared, otherPorts }: Opening,
  tls?: TlsMaterial,
): Promise<ListeningServer> {
  const { host, port, proxies, terminatedBy } = settings;
  const behindProxy = proxies !== undefined || terminatedBy !== undefined;
  const common = { ...shared, host, port, tls, proxies, behindProxy };
  const none = { origins: [], loopbackOrigins: false, pages: new Map(), receivers: new Map() };
  const only = (name: string) => shared.services.filter(({ service }) => service.typeName === name);
  switch (settings.kind) {
    case "grpc":
      return listenGrpc({ ...common, otherPorts, identify: settings.mtls && createIdentify(settings.mtls.identities) });
    case "gateway": {
      const pages = new Map([...shared.pages, ["/.well-known/jwks.json", shared.keySet] as const]);
      return listenGateway({ ...common, services: only(MfaService.typeName), origins: settings.origins, pages });
    }
    case "admin": {
      const pages = new Map<string, () => Promise<StaticPage>>([
        ["/livez", async () => ({ status: 200 })],
        ["/readyz", async () => ({ status: shared.health.serving ? 200 : 503 })],
        ["/metrics", async () => ({ status: 200, ...(await shared.metrics.render()) })],
      ]);
      const ofAdmins = { services: only(AdminMfaService.typeName), origins: settings.origins, pages };
      return listenGateway({ ...common, ...ofAdmins, receivers: new Map() });
    }
    case "internal": {
      const identify = settings.mtls && createIdentify(settings.mtls.identities);
      return listenGateway({ ...common, ...none, services: only(InternalMfaService.typeName), identify });
    }
  }
}

/** Opens a listener, which reloads its certificate when the files change. */
async function listen(settings: ListenerSettings, opening: Opening): Promise<ListeningServer> {
  const { kind, tls: files } = settings;
  const { shared } = opening;
  if (!files) return listenAs(settings, opening);
  const tls = await readTls(files);
  const listener = await listenAs(settings, opening, tls);
  const onUnusable = (error: Error) => {
    shared.metrics.unusableTls(kind);
    shared.onUnusableTls(error, kind);
  };
  const unwatch = watchTls(files, tls, { renew: listener.renew, onUnusable });
  const drain = (graceMs: number) => {
    unwatch();
    return listener.drain(graceMs);
  };
  return { ...listener, drain };
}

/** Throws with a one-line message when a listener's files cannot be used. */
export async function requireTls(settings: readonly ListenerSettings[]): Promise<void> {
  for (const [n, { tls }] of settings.entries()) {
    if (!tls) continue;
    await readTls(tls).catch((cause: Error) => {
      throw new Error(`listeners.${n}.tls: ${cause.message}`, { cause });
    });
  }
}

/** Opens every listener or none: when one fails, the opened ones are closed again. */
export async function openListeners(settings: readonly ListenerSettings[], shared: Shared): Promise<Listening[]> {
  const opened: Listening[] = [];
  try {
    for (const entry of settings) {
      opened.push({
        ...(await listen(entry, { shared, otherPorts: () => opened })),
        kind: entry.kind,
        host: entry.host,
      });
    }
    shared.metrics.gauge(
      "mfa_sockets",
      "Open sockets by listener.",
      () => Object.fromEntries(opened.map(({ kind, host, port, sockets }) => [`${kind} ${host}:${port}`, sockets()])),
      "listener",
    );
    return opened;
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.drain(0)));
    throw error;
  }
}

/** The least that the last listeners have for their own calls. */
const LAST_MS = 1_000;

/**
 * Drains all listeners, those of administrators last: /readyz says 503 there, and metrics are read, for as long as calls
 * of the others drain. Calls of administrators are refused like all others meanwhile.
 */
export async function drainAll(listeners: readonly Listening[], graceMs: number): Promise<void> {
  const begun = performance.now();
  const last = listeners.filter(({ kind }) => kind === "admin");
  for (const listener of last) listener.refuse?.();
  await Promise.all(listeners.filter((one) => !last.includes(one)).map((listener) => listener.drain(graceMs)));
  const leftMs = Math.max(Math.min(LAST_MS, graceMs), graceMs - (performance.now() - begun));
  await Promise.all(last.map((listener) => listener.drain(leftMs)));
}

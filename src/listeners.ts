import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import type { ListenerLimits, OnLimit } from "./core/listener-limits.ts";
import type { LogCall } from "./rpc/call-log.ts";
import { createIdentify } from "./rpc/certificate-identity.ts";
import type { Gate } from "./rpc/gate.ts";
import { listenGateway, type Page, type Pages } from "./rpc/gateway.ts";
import { type Listener, listenGrpc, type Served } from "./rpc/grpc-server.ts";
import type { HealthState } from "./rpc/health.ts";
import type { Metrics } from "./rpc/metrics.ts";
import { readTls, type TlsMaterial, watchTls } from "./rpc/tls-files.ts";
import type { ListenerSettings } from "./settings/listener-settings.ts";

/** What all listeners of a process share. */
export interface Shared {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly health: HealthState;
  readonly reflection: boolean;
  /** What browsers get beside the RPCs. */
  readonly pages: Pages;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall: LogCall;
  readonly limits: ListenerLimits;
  readonly onLimit: OnLimit;
  readonly metrics: Metrics;
  /** The public keys of assertions. */
  readonly keySet: () => Promise<Page>;
  /** Hears once of changed TLS files that cannot be used; the listener keeps its certificate. */
  readonly onUnusableTls: (error: Error, kind: ListenerSettings["kind"]) => void;
}

/** A listener and what it was configured as. */
export interface Listening extends Listener {
  readonly kind: ListenerSettings["kind"];
  readonly host: string;
}

async function listenAs(settings: ListenerSettings, shared: Shared, tls?: TlsMaterial): Promise<Listener> {
  const { host, port, proxies, terminatedBy } = settings;
  const behindProxy = proxies !== undefined || terminatedBy !== undefined;
  const common = { ...shared, host, port, tls, proxies, behindProxy };
  const only = (name: string) => shared.services.filter(({ service }) => service.typeName === name);
  switch (settings.kind) {
    case "grpc":
      return listenGrpc({ ...common, identify: settings.mtls && createIdentify(settings.mtls.identities) });
    case "gateway": {
      const pages = new Map([...shared.pages, ["/.well-known/jwks.json", shared.keySet] as const]);
      return listenGateway({ ...common, services: only(MfaService.typeName), origins: settings.origins, pages });
    }
    case "admin": {
      const pages = new Map<string, () => Promise<Page>>([
        ["/livez", async () => ({ status: 200 })],
        ["/readyz", async () => ({ status: shared.health.serving ? 200 : 503 })],
        ["/metrics", async () => ({ status: 200, ...(await shared.metrics.render()) })],
      ]);
      return listenGateway({ ...common, services: only(AdminMfaService.typeName), origins: settings.origins, pages });
    }
  }
}

/** Opens a listener, whose certificate is that of its files for as long as it stands. */
async function listen(settings: ListenerSettings, shared: Shared): Promise<Listener> {
  const { kind, tls: files } = settings;
  if (!files) return listenAs(settings, shared);
  const tls = await readTls(files);
  const listener = await listenAs(settings, shared, tls);
  const onUnusable = (error: Error) => shared.onUnusableTls(error, kind);
  const unwatch = watchTls(files, tls, { renew: listener.renew, onUnusable });
  const drain = (graceMs: number) => {
    unwatch();
    return listener.drain(graceMs);
  };
  return { ...listener, drain };
}

/** Throws, in one line, when the files of a listener cannot be used. */
export async function requireTls(settings: readonly ListenerSettings[]): Promise<void> {
  for (const { tls } of settings) if (tls) await readTls(tls);
}

/** Opens every listener, or none: when one cannot be had, those that were opened are closed again. */
export async function openListeners(settings: readonly ListenerSettings[], shared: Shared): Promise<Listening[]> {
  const opened: Listening[] = [];
  try {
    for (const entry of settings) {
      opened.push({ ...(await listen(entry, shared)), kind: entry.kind, host: entry.host });
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

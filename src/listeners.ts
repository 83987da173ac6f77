import { readFile } from "node:fs/promises";
import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import type { LogCall } from "./rpc/call-log.ts";
import type { Gate } from "./rpc/gate.ts";
import { listenGateway } from "./rpc/gateway.ts";
import { type Listener, listenGrpc, type Served } from "./rpc/grpc-server.ts";
import type { HealthState } from "./rpc/health.ts";
import type { ListenerSettings } from "./settings.ts";

/** What all listeners of a process share. */
export interface Shared {
  readonly services: readonly Served[];
  readonly gate: Gate;
  readonly health: HealthState;
  readonly reflection: boolean;
  readonly onUnexpected: (thrown: unknown, method: DescMethod) => void;
  readonly logCall: LogCall;
}

/** A listener and what it was configured as. */
export interface Listening extends Listener {
  readonly kind: ListenerSettings["kind"];
  readonly host: string;
}

async function readTls({ tls }: ListenerSettings) {
  if (!tls) return undefined;
  const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
  return { cert, key };
}

async function listen(settings: ListenerSettings, shared: Shared): Promise<Listener> {
  const { host, port } = settings;
  const common = { ...shared, host, port, tls: await readTls(settings) };
  const only = (name: string) => shared.services.filter(({ service }) => service.typeName === name);
  switch (settings.kind) {
    case "grpc":
      return listenGrpc(common);
    case "gateway":
      return listenGateway({ ...common, services: only(MfaService.typeName), origins: settings.origins });
    case "admin": {
      const ready = () => (shared.health.serving ? 200 : 503);
      const probes = new Map([
        ["/livez", () => 200],
        ["/readyz", ready],
      ]);
      return listenGateway({ ...common, services: only(AdminMfaService.typeName), origins: settings.origins, probes });
    }
  }
}

/** Opens every listener, or none: when one cannot be had, those that were opened are closed again. */
export async function openListeners(settings: readonly ListenerSettings[], shared: Shared): Promise<Listening[]> {
  const opened: Listening[] = [];
  try {
    for (const entry of settings) {
      opened.push({ ...(await listen(entry, shared)), kind: entry.kind, host: entry.host });
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.drain(0)));
    throw error;
  }
}

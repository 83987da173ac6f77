import { pino } from "pino";
import { onTestFinished } from "vitest";
import { loadConfig } from "../../../src/config/config.ts";
import { startServer } from "../../../src/server.ts";
import type { EngineUnderTest } from "../engine/engines.ts";
import { type ServiceUnderTest, UNLIMITED } from "./service.ts";

/** A second instance of a service on its database, PostgreSQL, with its clock; answers its port. */
export async function secondInstance(service: ServiceUnderTest, postgres: EngineUnderTest): Promise<number> {
  const config = loadConfig(["--dev"], { MFA_DATA_DIR: service.dataDir, MFA_DATABASE_URL: service.url });
  const server = await startServer(
    { ...config, rates: UNLIMITED, listeners: [{ kind: "grpc", host: "127.0.0.1", port: 0 }] },
    { log: pino({ level: "silent" }), clock: () => service.clock.now, store: await postgres.reopen(service) },
  );
  onTestFinished(() => server.stop());
  return server.listeners[0]?.port ?? 0;
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { loadConfig } from "../../src/config.ts";
import { type Claims, mintDevToken } from "../../src/dev/dev-issuer.ts";
import { startServer } from "../../src/server.ts";
import { grpcClient } from "./client.ts";
import { type EngineUnderTest, openForTest } from "./engines.ts";

/** The whole service on a free port, in this process, over a fresh store, with a clock that the test moves. */
export async function serviceForTest(engine: EngineUnderTest) {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-service-"));
  const database = await openForTest(engine);
  const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
  const log: string[] = [];
  const config = loadConfig(["--dev"], { MFA_PORT: "0", MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: database.url });
  const server = await startServer(config, {
    log: pino({ level: "trace" }, { write: (line: string) => void log.push(line) }),
    clock: () => clock.now,
    store: database.store,
  });
  const users = grpcClient(MfaService, server.port);
  const admins = grpcClient(AdminMfaService, server.port);
  const backends = grpcClient(InternalMfaService, server.port);
  onTestFinished(async () => {
    for (const client of [users, admins, backends]) client.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const mint = (claims: Claims) => mintDevToken(dataDir, claims, clock.now);
  return {
    ...database,
    port: server.port,
    server,
    dataDir,
    log,
    clock,
    /** Moves the service's clock. */
    pass: (ms: number) => {
      clock.now = new Date(clock.now.getTime() + ms);
    },
    mfa: users.rpcs,
    admin: admins.rpcs,
    internal: backends.rpcs,
    mint,
    /** A user's token, authenticated now. */
    user: (subject: string, acr: "aal1" | "aal2" = "aal1") => mint({ audience: "mfa", subject, acr }),
    backend: (scope: string) => mint({ audience: "mfa-internal", subject: "shop", scope }),
  };
}

/** A running service under test. */
export type ServiceUnderTest = Awaited<ReturnType<typeof serviceForTest>>;

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import type { UpdateTenantSettingsRequestSchema } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import { type Config, loadConfig } from "../../../src/config/config.ts";
import type { KdfPool } from "../../../src/crypto/kdf-pool.ts";
import { readKeyFile } from "../../../src/crypto/key-file.ts";
import { openKeyring } from "../../../src/crypto/keyring.ts";
import { adopt } from "../../../src/db/adoption.ts";
import { bindingStore, bindings } from "../../../src/db/bound-rows.ts";
import { type DevTokenClaims, mintDevToken } from "../../../src/dev/dev-issuer.ts";
import type { TrustedProxies } from "../../../src/rpc/access/client-address.ts";
import type { Devices } from "../../../src/rpc/access/device-authentication.ts";
import type { ListenerLimits } from "../../../src/rpc/limits/listener-limits.ts";
import { startServer } from "../../../src/server.ts";
import { grpcClient } from "../actors/grpc-client.ts";
import { type EngineUnderTest, openForTest } from "../engine/engines.ts";
import { cheapPool } from "../engine/kdf.ts";

/** Tests make a thousand calls at once; those about rates ask for others. */
export const UNLIMITED = { user: 1e9, admin: 1e9, service: 1e9, source: 1e9, guesses: 1e9 };

/** What a test wants otherwise. */
export interface Started {
  readonly origins?: string[];
  readonly rates?: Partial<typeof UNLIMITED>;
  readonly limits?: Partial<ListenerLimits>;
  /** Whose word about addresses counts, on every listener. */
  readonly proxies?: TrustedProxies;
  /** Push devices that the door is to know. */
  readonly devices?: Devices;
  readonly kdf?: KdfPool;
  readonly webauthn?: Partial<Config["webauthn"]>;
  /** When the service's clock begins: certificates that a test makes are good from now on only. */
  readonly now?: Date;
  /** Where events may be delivered besides public addresses. */
  readonly webhooks?: Partial<Config["webhooks"]>;
  /** Who carries messages, in place of dev mode's inbox. */
  readonly delivery?: Config["delivery"];
  /** Whether scheduled tasks run: by themselves they would change what a test compares. */
  readonly schedule?: boolean;
  /** Where copies of the database go, and when. */
  readonly backup?: Config["backup"];
  readonly risk?: Config["risk"];
  /** Whose tokens count besides the dev mode's. */
  readonly issuers?: Config["issuers"];
}

const NOON = new Date("2026-03-01T12:00:00.000Z");

/** The whole service on a free port, in this process, over a fresh store, with a clock that the test moves. */
export async function serviceForTest(
  engine: EngineUnderTest,
  {
    origins = [],
    rates,
    limits,
    proxies,
    devices,
    kdf = cheapPool(),
    webauthn,
    delivery = {},
    webhooks,
    schedule = false,
    backup,
    risk = {},
    issuers = [],
    now = NOON,
  }: Started = {},
) {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-service-"));
  const database = await openForTest(engine);
  const clock = { now };
  const log: string[] = [];
  const config = loadConfig(["--dev"], { MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: database.url });
  const onHost = {
    host: "127.0.0.1",
    port: 0,
    ...(proxies && { proxies: { ...proxies, addresses: [...proxies.addresses] } }),
  };
  const on = { ...onHost, origins };
  const listeners = [
    { ...on, kind: "grpc" },
    { ...on, kind: "gateway" },
    { ...on, kind: "admin" },
    { ...onHost, kind: "internal" },
  ] as const;
  const server = await startServer(
    {
      ...config,
      ...{ delivery, risk, issuers },
      schedule: { enabled: schedule },
      backup: backup ?? config.backup,
      webhooks: { ...config.webhooks, ...webhooks },
      rates: { ...UNLIMITED, ...rates },
      limits: { ...config.limits, noticeMs: 1, maxQueueMs: 60_000, maxOpenCalls: 100_000, ...limits },
      listeners: [...listeners],
      webauthn: { ...config.webauthn, ...webauthn },
    },
    {
      log: pino({ level: "trace" }, { write: (line: string) => void log.push(line) }),
      clock: () => clock.now,
      store: database.store,
      kdf,
      ...(devices && { devices }),
    },
  );
  const portOf = (kind: string) => server.listeners.find((listener) => listener.kind === kind)?.port ?? 0;
  const users = grpcClient(MfaService, portOf("grpc"));
  const admins = grpcClient(AdminMfaService, portOf("grpc"));
  const backends = grpcClient(InternalMfaService, portOf("grpc"));
  onTestFinished(async () => {
    for (const client of [users, admins, backends]) client.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const keyring = await openKeyring(await readKeyFile(config.keyFile), database.store);
  const mint = (claims: DevTokenClaims, at = clock.now) => mintDevToken(dataDir, claims, at);
  return {
    ...database,
    /** As the service has it, with its keys. */
    store: bindingStore(database.store, keyring),
    /** Gives rows their MACs that a test wrote beside the service, as if the service had. */
    bind: () =>
      database.store.write(async (tx) => {
        const steps = adopt(
          keyring,
          bindings().map(({ table }) => table),
        );
        for (let step = steps.next(); !step.done; ) {
          step = steps.next(await tx.run(step.value.statement, step.value.params));
        }
      }),
    port: portOf("grpc"),
    gatewayPort: portOf("gateway"),
    adminPort: portOf("admin"),
    internalPort: portOf("internal"),
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

/** Changes the settings of the tenant that tests run in. */
export async function setTenant(
  service: ServiceUnderTest,
  groups: MessageInitShape<typeof UpdateTenantSettingsRequestSchema>,
): Promise<void> {
  const scope = "mfa.read mfa.settings.write";
  const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  const { settings } = await service.admin.getTenantSettings({}, admin);
  await service.admin.updateTenantSettings({ ...groups, version: settings?.version ?? 0n }, admin);
}

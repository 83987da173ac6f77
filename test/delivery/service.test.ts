// The whole service with carriers that speak the real protocols.
import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import pg from "pg";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { FactorState } from "../../gen/mfa/v1/factor_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { DeliveryState } from "../../gen/mfa/v1/otp_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { type Building, statement } from "../../src/db/store.ts";
import { outboxMessages } from "../../src/outbox/outbox.table.ts";
import { startServer } from "../../src/server.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, grpcClient } from "../support/actors/grpc-client.ts";
import { otherThan, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { httpPeer } from "../support/fakes/http-peer.ts";
import { mailServer, silentServer } from "../support/fakes/mail-server.ts";
import { type ServiceUnderTest, serviceForTest, UNLIMITED } from "../support/worlds/service.ts";

const webhook = (url: string) =>
  ({ kind: "webhook", url, secret: `whsec_${randomBytes(32).toString("base64")}` }) as const;
const codeIn = (text = "") => /\d{6}/.exec(text)?.[0] ?? "";

describe.each(engines)("delivery by the service on $name", (engine) => {
  test("a code comes by mail and completes the enrollment; then the notice comes", async () => {
    const server = await mailServer();
    const service = await serviceForTest(engine, { delivery: { email: [server.settings] } });
    await switchOn(service);
    const token = await service.user("ann");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const { mail } = await server.mail(1);
    expect(mail.subject).not.toMatch(/\d/);
    const challengeId = delivery?.challengeId ?? "";
    const { address } = await service.mfa.finishEmailEnrollment({ challengeId, code: codeIn(mail.text) }, token);
    expect(address?.state).toBe(FactorState.ACTIVE);
    expect((await server.mail(2)).mail).toMatchObject({
      subject: "MFA Service: added: e-mail address for codes",
      to: [{ address: "ann@example.com" }],
    });
  });

  test.each([
    ["hangs", async () => ({ port: (await silentServer()).port })],
    ["is not there", async () => ({ port: 1 })],
    ["refuses", async () => (await mailServer({ refuse: () => 554 })).settings],
    ["cannot at present", async () => (await mailServer({ refuse: () => 451 })).settings],
    ["is not who it says", async () => ({ ...(await mailServer()).settings, caFile: undefined })],
  ] as const)("the reply comes, and others are served, while the mail server %s", async (_, start) => {
    const { settings } = await mailServer();
    const service = await serviceForTest(engine, { delivery: { email: [{ ...settings, ...(await start()) }] } });
    await switchOn(service);
    // Each of these would wait for the server if anything did: it never says a word, or never a good one.
    for (const user of ["ann", "bob", "eve"]) {
      const call = service.mfa.startEmailEnrollment({ email: `${user}@example.com` }, await service.user(user));
      expect((await call).delivery?.challengeId).toMatch(/^[\w-]{22}$/);
    }
    await enrollApp(service, "kim");
  });

  test("the reply comes while the carrier of text messages hangs", async () => {
    const { port } = await silentServer();
    const service = await serviceForTest(engine, { delivery: { sms: [webhook(`http://127.0.0.1:${port}`)] } });
    await switchOn(service);
    const token = await service.user("ann");
    const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
    expect(delivery).toMatchObject({
      challengeId: expect.stringMatching(/^[\w-]{22}$/),
      deliveryState: DeliveryState.QUEUED,
    });
    await enrollApp(service, "kim");
  });

  test("a hanging server ends nobody's wait, and its code goes out by the next carrier or not at all", async () => {
    const hang = await silentServer();
    const { settings } = await mailServer();
    const service = await serviceForTest(engine, { delivery: { email: [{ ...settings, port: hang.port }] } });
    await switchOn(service);
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann"));
    await hang.connected;
    service.pass(10 * 60_000);
    await service.server.stop();
    expect(service.log.join("\n")).not.toMatch(/ann@example/);
  });

  test("a wrong password costs no message: the log tells of it, and the message goes out once it is right", async () => {
    let isRight = false;
    const wrong = Object.assign(new Error("no"), { responseCode: 535 });
    const server = await mailServer({
      options: { onAuth: (_auth, _session, done) => (isRight ? done(null, { user: "mfa" }) : done(wrong)) },
    });
    const service = await serviceForTest(engine, { delivery: { email: [server.settings] } });
    await switchOn(service);
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann"));
    const isPutBack = (line: string) => line.includes('"state":"queued"') && line.includes('"error":"SMTP_535"');
    await vi.waitUntil(() => service.log.some(isPutBack), { timeout: 20_000 });
    const told = service.log.filter((line) => line.includes("refuses this service"));
    expect(told.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 40, provider: "smtp", channel: "email", error: "SMTP_535" }),
    ]);
    isRight = true;
    service.pass(1000);
    expect(codeIn((await server.mail(1)).mail.text)).toMatch(/^\d{6}$/);
  });

  test("what the first carrier refuses goes by the second", async () => {
    const server = await mailServer({ refuse: () => 554 });
    const peer = await httpPeer();
    const service = await serviceForTest(engine, { delivery: { email: [server.settings, webhook(peer.url)] } });
    await switchOn(service);
    const token = await service.user("ann");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const { data } = JSON.parse((await peer.request()).body);
    expect(data).toMatchObject({ to: "ann@example.com", kind: "code", channel: "email" });
    const challengeId = delivery?.challengeId ?? "";
    await service.mfa.finishEmailEnrollment({ challengeId, code: codeIn(data.text) }, token);
  });

  test("what could not be sent before the code ran out is never sent", async () => {
    let answer = 451;
    const server = await mailServer({ refuse: () => (answer === 250 ? undefined : answer) });
    const service = await serviceForTest(engine, { delivery: { email: [server.settings] } });
    await switchOn(service);
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann"));
    await vi.waitUntil(() => service.log.some((line) => line.includes("SMTP_451")), { timeout: 20_000 });
    answer = 250;
    service.pass(5 * 60_000);
    await vi.waitUntil(() => service.log.some((line) => line.includes('"state":"expired"')), { timeout: 20_000 });
    expect(server.arrived).toEqual([]);
  });

  test("production keeps no messages to be read, and sends no codes that nobody carries", async () => {
    const service = await serviceForTest(engine);
    const { issuer, privateKey } = JSON.parse(await readFile(join(service.dataDir, "dev-issuer.json"), "utf8"));
    const jwksFile = join(service.dataDir, "jwks.json");
    await writeFile(jwksFile, JSON.stringify({ keys: [{ ...privateKey, d: undefined }] }));
    const { store } = await openForTest(engine);
    const config = loadConfig(["--dev"], { MFA_DATA_DIR: service.dataDir });
    const listeners = [{ kind: "grpc", host: "127.0.0.1", port: 0 } as const];
    const server = await startServer(
      { ...config, mode: "production", issuers: [{ issuer, jwksFile }], listeners, rates: UNLIMITED },
      { log: pino({ level: "silent" }), clock: () => service.clock.now, store },
    );
    const port = server.listeners[0]?.port ?? 0;
    const users = grpcClient(MfaService, port);
    const admins = grpcClient(AdminMfaService, port);
    const backends = grpcClient(InternalMfaService, port);
    onTestFinished(async () => {
      for (const client of [users, admins, backends]) client.close();
      await server.stop();
    });
    const inbox = backends.rpcs.listInboxMessages({}, await service.backend("mfa.dev"));
    expect(await failure(inbox)).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "DEV_MODE_ONLY" });
    await switchOn({ ...service, admin: admins.rpcs });
    const start = users.rpcs.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann"));
    expect((await failure(start)).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("no code and no full number or address is in any log line, error, row, database file or write-ahead log", async () => {
    const mail = await mailServer();
    const peer = await httpPeer();
    const service = await serviceForTest(engine, {
      delivery: { email: [mail.settings], sms: [webhook(peer.url)] },
    });
    await switchOn(service);
    const token = await service.user("ann", "aal2");
    const canary = "canary.ann+tag@example.com";
    const replies: string[] = [];
    const kept = <T>(reply: T) => {
      replies.push(JSON.stringify(reply, (_, value) => (typeof value === "bigint" ? String(value) : value)));
      return reply;
    };
    const started = kept(await service.mfa.startEmailEnrollment({ email: canary }, token));
    const emailed = codeIn((await mail.mail(1)).mail.text);
    const challengeId = started.delivery?.challengeId ?? "";
    const wrong = service.mfa.finishEmailEnrollment({ challengeId, code: otherThan(emailed) }, token);
    kept(String(await failure(wrong)));
    kept(await service.mfa.finishEmailEnrollment({ challengeId, code: emailed }, token));
    service.pass(60_000);
    kept(await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token));
    const texts = () => peer.received.map(({ body }) => JSON.parse(body).data.text as string);
    await vi.waitUntil(() => texts().some((text) => /^\d{6} is/.test(text)), { timeout: 20_000 });
    const texted = codeIn(texts().find((text) => /^\d{6} is/.test(text)));
    kept(await service.mfa.listFactors({}, token));
    await mail.mail(2);
    await settled(service);

    const rows = await dump(service);
    const secrets = [canary, "canary.ann", phone().slice(3)];
    for (const secret of secrets) {
      for (const form of forms(secret)) {
        expect(rows.includes(form), `${secret} in the database`).toBe(false);
        expect(service.log.join("\n"), secret).not.toContain(form.toString("latin1"));
        expect(replies.join("\n"), secret).not.toContain(form.toString("latin1"));
      }
    }
    // Six digits may also stand by chance in a file of times and hashes; where texts are, they are looked for.
    for (const code of [emailed, texted]) {
      expect(code).toMatch(/^\d{6}$/);
      expect(await outboxText(service)).not.toContain(code);
      expect(replies.join("\n").replaceAll(/"(seconds|nanos)":"?\d+"?/g, "")).not.toContain(code);
      const lines = service.log.map((line) => JSON.stringify({ ...JSON.parse(line), time: 0, pid: 0, ms: 0 }));
      expect(lines.join("\n")).not.toMatch(new RegExp(`(?<![\\da-f-])${code}(?![\\da-f-])`));
    }
  });
});

/** The ways in which a text could stand somewhere. */
const forms = (secret: string) => [
  Buffer.from(secret),
  Buffer.from(secret, "utf16le"),
  Buffer.from(Buffer.from(secret).toString("hex")),
  Buffer.from(Buffer.from(secret).toString("base64").replace(/=+$/, "")),
  Buffer.from(encodeURIComponent(secret)),
];

/** Waits until nothing is on its way. */
const settled = (service: ServiceUnderTest) =>
  vi.waitUntil(async () => !(await outboxText(service)).includes('"queued"'), { timeout: 20_000 });

/** Every byte that the store keeps: the files of SQLite with the write-ahead log, every row of PostgreSQL. */
async function dump(service: ServiceUnderTest): Promise<Buffer> {
  if (service.url.startsWith("sqlite:")) {
    const folder = dirname(service.url.slice("sqlite:".length));
    const files = await readdir(folder);
    expect(files.some((file) => file.endsWith("-wal"))).toBe(true);
    return Buffer.concat(await Promise.all(files.map((file) => readFile(`${folder}/${file}`))));
  }
  return Buffer.from(await textOf(service.url, "tablename NOT LIKE 'pg_%'"));
}

async function textOf(url: string, where: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND ${where}`);
    const texts = [];
    for (const { tablename } of rows) texts.push(...(await client.query(`SELECT t::text FROM "${tablename}" t`)).rows);
    return JSON.stringify(texts);
  } finally {
    await client.end();
  }
}

const listOutbox = statement((s: Building<Record<never, never>>) => {
  const t = s.table(outboxMessages);
  return s.db
    .select({ state: t.state, kind: t.kind, data: t.data, sealed: t.sealedContent, lastError: t.lastError })
    .from(t);
});

/** What the rows of the outbox say, but for ids and times. */
const outboxText = async ({ store }: ServiceUnderTest) =>
  JSON.stringify(await store.read((tx) => tx.run(listOutbox, {})));

// The service is killed between the commit of messages and their delivery.
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { start } from "../interop/process.ts";
import { grpcClient } from "../support/actors/grpc-client.ts";
import { phone } from "../support/actors/one-time-codes.ts";
import { emptyDatabase } from "../support/engine/engines.ts";
import { portOf } from "../support/engine/port.ts";
import { isFull } from "../support/engine/races.ts";

const rounds = isFull ? 50 : 5;
const READY = /ready on [^\s]+:(\d+) \(grpc\)/;
const USERS = 5;

/** A carrier that drops repeats by their id, as Standard Webhooks has it, and can be told to say nothing. */
async function carrier() {
  const accepted = new Map<string, { to: string; kind: string; text: string }>();
  const state = { silent: false };
  const server = createServer(async (request, response) => {
    const { data } = JSON.parse(await text(request));
    // It has the message, and the service will never know.
    accepted.set(String(request.headers["webhook-id"]), data);
    if (!state.silent) response.writeHead(204).end();
  });
  return { accepted, state, url: `http://127.0.0.1:${await portOf(server)}` };
}

const database = async (engine: string) => (engine === "sqlite" ? "" : emptyDatabase());

/** One life of the service, as a process of its own. */
async function live(env: Record<string, string>) {
  const free = {
    MFA_PORT: "0",
    MFA_GATEWAY_PORT: "0",
    MFA_ADMIN_PORT: "0",
    MFA_INTERNAL_PORT: "0",
    MFA_HOST: "127.0.0.1",
    MFA_KEY_FILE: "",
  };
  const { child, saw, outcome } = start(process.execPath, ["src/main.ts", "--dev"], { ...free, ...env });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [, port] = await saw(READY);
  return { child, outcome, port: Number(port) };
}

const settings = {
  email: { enabled: true },
  sms: { enabled: true, allowedCountries: ["DE"], dailyBudget: 1000 },
};

describe.each([
  ["sqlite", rounds],
  // A lease of a dead instance has to lapse there, which takes half a minute.
  ["postgres", Math.ceil(rounds / 10)],
] as const)("kill -9 between commit and delivery on %s", (engine, times) => {
  test(`every committed message is delivered after the restart, and none is two messages, ${times} times`, {
    timeout: times * 120_000,
  }, async () => {
    for (let round = 0; round < times; round++) {
      const dataDir = await mkdtemp(join(tmpdir(), "mfa-kill-"));
      onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
      const { accepted, state, url } = await carrier();
      const file = join(dataDir, "settings.json");
      const secret = join(dataDir, "secret");
      await writeFile(secret, `whsec_${randomBytes(32).toString("base64")}`);
      const sms = [{ kind: "webhook", url, secret: { file: secret } }];
      await writeFile(file, JSON.stringify({ delivery: { sms }, rates: { source: 1e6 } }));
      const env = { MFA_DATA_DIR: dataDir, MFA_CONFIG: file, MFA_DATABASE_URL: await database(engine) };

      const first = await live(env);
      const user = (subject: string) => mintDevToken(dataDir, { audience: "mfa", subject });
      const admin = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.settings.write" } as const;
      const admins = grpcClient(AdminMfaService, first.port);
      await admins.rpcs.updateTenantSettings(settings, await mintDevToken(dataDir, admin));
      admins.close();
      const { rpcs: mfa, close } = grpcClient(MfaService, first.port);
      const enrolling = await mfa.startSmsEnrollment({ phoneNumber: phone(0) }, await user("user-0"));
      await vi.waitUntil(() => accepted.size === 1, { timeout: 20_000 });
      const [code = ""] = /\d{6}/.exec([...accepted.values()][0]?.text ?? "") ?? [];

      // From here on the carrier keeps what it gets to itself in every other round; in between all is as usual.
      state.silent = round % 2 === 0;
      const challengeId = enrolling.delivery?.challengeId ?? "";
      await Promise.all([
        mfa.finishSmsEnrollment({ challengeId, code }, await user("user-0")),
        ...Array.from({ length: USERS - 1 }, async (_, n) =>
          mfa.startSmsEnrollment({ phoneNumber: phone(n + 1) }, await user(`user-${n + 1}`)),
        ),
      ]);
      first.child.kill("SIGKILL");
      await first.outcome;
      close();
      state.silent = false;

      const second = await live(env);
      // The code of user 0, the notice to them, and a code for each of the others.
      await vi.waitUntil(() => accepted.size >= USERS + 1, { timeout: 90_000 });
      second.child.kill("SIGTERM");
      expect(await second.outcome).toMatchObject({ code: 0 });
      const sent = [...accepted.values()].map(({ to, kind }) => `${kind} ${to}`).sort();
      const expected = [`factor_added ${phone(0)}`, ...Array.from({ length: USERS }, (_, n) => `code ${phone(n)}`)];
      expect(sent).toEqual(expected.sort());
    }
  });
});

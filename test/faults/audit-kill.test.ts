import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { auditEntries } from "../../src/audit/audit-entries.table.ts";
import { createVerification } from "../../src/audit/verification.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { openStore } from "../../src/db/open.ts";
import { type Building, statement } from "../../src/db/store.ts";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { start } from "../interop/process.ts";
import { grpcClient } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";

const ROUNDS = isFull ? 40 : 2;
const CALLERS = 24;

const selectIds = statement((s: Building<Record<never, never>>) => {
  const t = s.table(auditEntries);
  return s.db.select({ callId: t.callId, sequence: t.sequence }).from(t).orderBy(t.sequence);
});

/** A database and a folder that outlive the processes on them. */
async function installation(engine: EngineUnderTest) {
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-killed-"));
  const opened = await engine.open();
  await opened.store.close();
  onTestFinished(async () => {
    await opened.remove();
    await rm(dataDir, { recursive: true, force: true });
  });
  return { dataDir, url: opened.url };
}

/** Has users begin enrollments, each under an id of its own, until the process is killed amid them; answers what was acknowledged. */
async function killUnderLoad({ dataDir, url }: { dataDir: string; url: string }, names: string): Promise<string[]> {
  const service = start(process.execPath, ["src/main.ts", "--dev"], {
    ...{ MFA_PORT: "0", MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_INTERNAL_PORT: "0", MFA_HOST: "127.0.0.1" },
    ...{ MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: url, MFA_KEY_FILE: "", MFA_CONFIG: "" },
  });
  onTestFinished(() => void service.child.kill("SIGKILL"));
  const [, , port] = await service.saw(/ready on ([^\s]+):(\d+) \(grpc\)/);
  const { rpcs, close } = grpcClient(MfaService, Number(port));
  const acknowledged: string[] = [];
  let killed = false;
  const callers = Array.from({ length: CALLERS }, async (_, n) => {
    const token = await mintDevToken(dataDir, { audience: "mfa", subject: `${names}-${n}`, acr: "aal1" });
    while (!killed) {
      const id = randomUUID();
      const done = rpcs.startTotpEnrollment({}, token, { "x-request-id": id });
      // Rates hold callers back; those calls change nothing.
      await done.then(
        () => acknowledged.push(id),
        () => sleep(5),
      );
    }
  });
  while (acknowledged.length < 4 * CALLERS) await sleep(5);
  service.child.kill("SIGKILL");
  killed = true;
  await service.outcome;
  await Promise.all(callers);
  close();
  return acknowledged;
}

describe.each(engines)("the audit trail on $name", (engine) => {
  test(`holds each acknowledged change exactly once, and verifies, after ${ROUNDS} kills under load`, {
    timeout: 20_000 + ROUNDS * 10_000,
  }, async () => {
    const installed = await installation(engine);
    const acknowledged: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) acknowledged.push(...(await killUnderLoad(installed, `r${round}`)));

    const store = await openStore({ url: installed.url });
    try {
      const rows = await store.read((tx) => tx.run(selectIds, {}));
      const counts = Map.groupBy(rows, ({ callId }) => callId);
      expect(acknowledged.filter((id) => counts.get(id)?.length !== 1)).toEqual([]);
      expect([...counts.values()].filter(({ length }) => length > 1)).toEqual([]);
      expect(rows.map(({ sequence }) => sequence)).toEqual(rows.map((_, n) => n + 1));

      const keyring = await openKeyring(await readKeyFile(join(installed.dataDir, "keys.json")), store);
      const whole = { tenantId: "dev", start: 0, end: 0, checkpoint: undefined };
      const verification = createVerification({ store, keyring });
      expect(await verification(whole, new AbortController().signal)).toMatchObject({
        firstBroken: 0,
        entryCount: rows.length,
      });
    } finally {
      await store.close();
    }
  });
});

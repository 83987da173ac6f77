// What a hanging mail server costs those who have nothing to do with it. Figures are printed, never judged: the machine
// is shared. Judged is that all are served, and that the mail arrives once the server speaks.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { FraudMode } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { mailServer } from "../support/fakes/mail-server.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MESSAGES = 200;
const CALLS = 500;

/** Before a server: takes connections and keeps them waiting until it is opened, then lets them through. */
async function gate(port: number) {
  const waiting = new Set<Socket>();
  let isOpen = false;
  const through = (socket: Socket) => {
    const onward = connect(port, "127.0.0.1");
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  };
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (isOpen) return through(socket);
    waiting.add(socket);
    socket.on("close", () => waiting.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of waiting) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    waiting,
    open: () => {
      isOpen = true;
      for (const socket of waiting) through(socket);
    },
  };
}

const p99 = (times: number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;

describe.each(engines)("beside a hanging mail server on $name", (engine) => {
  test("200 codes wait for it, other calls are answered, and every code arrives in the end", {
    timeout: 180_000,
  }, async () => {
    const server = await mailServer();
    const hanging = await gate(server.settings.port);
    const service = await serviceForTest(engine, {
      delivery: { email: [{ ...server.settings, port: hanging.port }] },
    });
    // All of them come from one source here.
    await switchOn(service, {
      sms: { enabled: true, allowedCountries: ["DE"], fraudMode: FraudMode.RECORD_ONLY },
      email: { enabled: true },
    });
    const token = await service.user("kim");
    const measure = async () => {
      const times: number[] = [];
      for (let n = 0; n < CALLS; n++) {
        const begun = performance.now();
        await service.mfa.getMfaStatus({}, token);
        times.push(performance.now() - begun);
      }
      return p99(times);
    };
    await measure(); // until the code is warm
    const alone = await measure();
    const sends: number[] = [];
    for (let n = 0; n < MESSAGES; n++) {
      const user = await service.user(`user-${n}`);
      const begun = performance.now();
      await service.mfa.startEmailEnrollment({ email: `user-${n}@example.com` }, user);
      sends.push(performance.now() - begun);
    }
    await vi.waitUntil(() => hanging.waiting.size > 0, { timeout: 20_000 });
    const beside = await measure();
    const ms = (time: number) => `${time.toFixed(1)} ms`;
    process.stdout.write(
      `${engine.name}: GetMfaStatus p99 ${ms(alone)} alone, ${ms(beside)} beside ${MESSAGES} mails to a hanging server; p99 of sending ${ms(p99(sends))}\n`,
    );
    expect(server.arrived).toEqual([]);

    hanging.open();
    // What was given up is due again after its pause, also what is given up from now on; no code runs out meanwhile.
    await vi.waitUntil(
      () => {
        service.pass(1_000);
        return server.arrived.length >= MESSAGES;
      },
      { timeout: 120_000, interval: 500 },
    );
    const reached = new Set(server.arrived.flatMap(({ to }) => to));
    expect(reached.size).toBe(MESSAGES);
  });
});

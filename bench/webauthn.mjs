// Authentication by passkey: FinishWebAuthnAuthentication with right answers, each to a ceremony of its own, beside the
// library that judges them, beside our wrapper around it, beside the bare signature check, in one run. Of each: what a
// call costs the processor, and how much of it on the main loop, where everybody else waits meanwhile.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import { makePasskey, ORIGIN } from "../test/support/actors/passkey.ts";
import { grpcCaller, load } from "./load.mjs";
import { median } from "./median.mjs";
import { start } from "./processes.mjs";
import { fixed, HEALTH, startService } from "./totp.mjs";

const USERS = 64;

/** One of the RPCs, with messages in place of bytes. */
function rpcOf(port, { name, input, output }) {
  const caller = grpcCaller(port, `/${MfaService.typeName}/${name}`);
  const encode = (request) => toBinary(input, create(input, request));
  return {
    encode,
    send: caller.call,
    call: async (request, token) => fromBinary(output, await caller.call(encode(request), token)),
    close: caller.close,
  };
}

/** Users with a passkey each, and answers that wait to be given. */
async function authentication(service) {
  const { method } = MfaService;
  const rpcs = {
    startRegistration: rpcOf(service.port, method.startWebAuthnRegistration),
    finishRegistration: rpcOf(service.port, method.finishWebAuthnRegistration),
    start: rpcOf(service.port, method.startWebAuthnAuthentication),
    finish: rpcOf(service.port, method.finishWebAuthnAuthentication),
  };
  const users = [];
  for (let n = 0; n < USERS; n++) {
    const token = await service.ask("userToken", `user-${n}`);
    const passkey = makePasskey({ counts: false }); // of 64 answers at once some overtake others
    const { ceremonyId, options } = await rpcs.startRegistration.call({}, token);
    const response = passkey.create(options);
    await rpcs.finishRegistration.call({ ceremonyId, response }, token);
    users.push({ token, passkey });
  }
  let waiting = [];
  return {
    /** Begins so many log-ins and signs their answers. */
    prepare: async (count) => {
      const one = async (n) => {
        const { token, passkey } = users[n % USERS];
        const { ceremonyId, options } = await rpcs.start.call({}, token);
        const message = rpcs.finish.encode({ ceremonyId, response: passkey.get(options) });
        return { message, token };
      };
      waiting = [];
      for (let n = 0; n < count; n += USERS) {
        waiting.push(...(await Promise.all(Array.from({ length: USERS }, (_, m) => one(n + m)))));
      }
    },
    call: async () => {
      const next = waiting.pop();
      if (!next) return false;
      await rpcs.finish.send(next.message, next.token);
    },
    close: () => {
      for (const { close } of Object.values(rpcs)) close();
    },
  };
}

/** What calls to a server cost it. */
async function measure(service, call, { inFlight, ms }) {
  const before = await service.ask("cost");
  const measured = await load(call, { inFlight, ms });
  const after = await service.ask("cost");
  if (measured.failed > 0) throw measured.problem;
  return { ...measured, cpu: after.cpu - before.cpu, loop: after.loop - before.loop };
}

/** Measures everything; `quick` in seconds, for the work on the bench itself. */
export async function benchWebAuthn({ quick = false } = {}) {
  const settings = quick ? { rounds: 1, ms: 500, answers: 256 } : { rounds: 5, ms: 2_000, answers: 2_048 };
  const inFlight = 64;
  const { rounds, ms, answers } = settings;
  const root = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  try {
    const file = join(root, "settings.json");
    writeFileSync(file, JSON.stringify({ webauthn: { rpIds: ["localhost"], origins: [ORIGIN] } }));
    const service = await startService(root, `sqlite:${root}/mfa.db`, 0, { env: { MFA_CONFIG: file } });
    const judge = await start("webauthn-judge.mjs");
    const work = await authentication(service);
    const health = fixed(service.port, HEALTH);
    const targets = [
      ["FinishWebAuthnAuthentication", () => measure(service, work.call, { inFlight, ms: 60_000 })],
      ["health check of the same server", () => measure(service, health.call, { inFlight, ms })],
      ["the wrapper alone", () => judge.ask("wrapper", { inFlight, ms })],
      ["verifyAuthenticationResponse alone", () => judge.ask("library", { inFlight, ms })],
      ["node:crypto ES256 alone", () => judge.ask("crypto", { inFlight, ms })],
    ];
    const results = new Map(targets.map(([name]) => [name, []]));
    for (let round = 0; round <= rounds; round++) {
      for (const [name, run] of targets) {
        if (run === targets[0][1]) await work.prepare(answers);
        const { rate, calls, cpu, loop, p99 } = await run();
        // The first round is for the compilers.
        if (round > 0) results.get(name).push({ rate, p99, cpu: cpu / calls, loop: loop / calls });
      }
    }
    work.close();
    health.close();
    await judge.stop();
    await service.stop();
    const library = results.get("verifyAuthenticationResponse alone");
    return {
      settings: { ...settings, inFlight },
      rows: [...results].map(([name, all]) => ({
        name,
        ...Object.fromEntries(["rate", "p99", "cpu", "loop"].map((of) => [of, median(all.map((one) => one[of]))])),
        ofLibrary: median(all.map(({ cpu }, round) => cpu / library[round].cpu)),
      })),
    };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

// A backend's log-in as one flow, create → verify → redeem, three calls one after the other, beside the health check of
// the same server in the same run. Rounds alternate; figures are medians of rounds, ratios medians of their ratios.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ChallengePurpose } from "../gen/mfa/v1/challenge_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { grpcCaller } from "./load.mjs";
import { startServer as startPostgres } from "./postgres.mjs";
import { codeAt, userOf } from "./totp/users.ts";
import { compare, fixed, HEALTH, STEP, say, shuffled, startService } from "./totp.mjs";

const client = { ip: "203.0.113.7" };

/** Log-ins of users in an order that no cache foresees, each with a code that was not used before. */
function logIns(service, users) {
  const order = shuffled(users);
  const rpc = ({ name, input, output }) => {
    const caller = grpcCaller(service.port, `/${InternalMfaService.typeName}/${name}`);
    const call = async (fields, token) =>
      fromBinary(output, await caller.call(toBinary(input, create(input, fields)), token));
    return { call, close: caller.close };
  };
  const { createUserChallenge, verifyUserChallenge, redeemChallenge } = InternalMfaService.method;
  const [begin, verify, redeem] = [createUserChallenge, verifyUserChallenge, redeemChallenge].map(rpc);
  let token = "";
  let step = 0;
  let next = 0;
  return {
    prepare: async () => {
      const now = await service.ask("now");
      token = await service.ask("advance", 4 * STEP + (STEP - (now % STEP)) + 500);
      step = Math.floor((await service.ask("now")) / STEP);
      next = next % users;
    },
    call: async () => {
      const turn = next++;
      const user = order[turn % users];
      const about = { userId: userOf(user), client };
      const session = { sessionId: `session-${turn}`, nonce: `nonce-${turn}` };
      const terms = { purpose: ChallengePurpose.LOG_IN, ...session };
      const { challenge } = await begin.call({ ...about, terms }, token);
      const { challengeId } = challenge;
      const code = codeAt(user, step + Math.floor(turn / users));
      await verify.call({ ...about, challengeId, proof: { kind: { case: "totpCode", value: code } } }, token);
      await redeem.call({ ...about, challengeId, ...session }, token);
    },
    close: () => {
      for (const one of [begin, verify, redeem]) one.close();
    },
  };
}

/** Measures log-ins on both engines; `quick` in seconds, for the work on the bench itself. */
export async function benchChallenge({ quick = false } = {}) {
  const settings = quick
    ? { users: 2_000, levels: [1, 64], rounds: 1, ms: 500 }
    : { users: 10_000, levels: [1, 16, 64], rounds: 3, ms: 1_000 };
  const { users, levels, rounds, ms } = settings;
  const root = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  const postgres = await startPostgres();
  try {
    const onSqlite = await startService(join(root, "sqlite"), `sqlite:${join(root, "sqlite")}/mfa.db`, users);
    const onPostgres = await startService(join(root, "postgres"), await postgres.create("mfa_log_ins"), users);
    const targets = [
      { name: "log-in, SQLite", service: onSqlite, work: logIns(onSqlite, users) },
      { name: "health check of the same server", service: onSqlite, work: fixed(onSqlite.port, HEALTH) },
      { name: "log-in, PostgreSQL", service: onPostgres, work: logIns(onPostgres, users) },
    ];
    say("warming up");
    await compare(targets, { inFlight: 16, rounds: 1, ms: quick ? 300 : 4_000 });
    const comparisons = [];
    for (const inFlight of levels) {
      say(`${inFlight} in flight`);
      comparisons.push(...(await compare(targets, { inFlight, rounds, ms })));
    }
    for (const { work } of targets) work.close();
    for (const service of [onSqlite, onPostgres]) await service.stop();
    return { settings, comparisons };
  } finally {
    await postgres.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

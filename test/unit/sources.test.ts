import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { Sources } from "../../src/rpc/limits/sources.ts";

const socketFrom = (remoteAddress: string) => Object.assign(new EventEmitter(), { remoteAddress });

function sources(max = 2) {
  let now = 0;
  const hits: string[] = [];
  const known = new Sources(
    max,
    (limit) => hits.push(limit),
    () => now,
  );
  return {
    known,
    hits,
    isAdmitted: (address: string) => known.admit(socketFrom(address)),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test("a source holds so many sockets, others hold theirs, and one that closes makes room", () => {
  const { known, hits, isAdmitted } = sources();
  const first = socketFrom("192.0.2.1");
  expect([known.admit(first), isAdmitted("::ffff:192.0.2.1"), isAdmitted("192.0.2.1")]).toEqual([true, true, false]);
  expect(hits).toEqual(["connections_source"]);
  expect(isAdmitted("192.0.2.2")).toBe(true);
  first.emit("close");
  expect([isAdmitted("192.0.2.1"), isAdmitted("192.0.2.1")]).toEqual([true, false]);
});

test("a source that was cut off waits four times as long after each further cut, with all of its IPv6 /64", () => {
  const { known, hits, isAdmitted, pass } = sources(1000);
  for (const ms of [1_000, 4_000, 16_000, 64_000, 256_000, 600_000, 600_000]) {
    known.cut("2001:db8::1");
    pass(ms - 1);
    known.cut("2001:db8::2"); // a connection from before: nothing is added
    expect([isAdmitted("2001:db8::ffff"), isAdmitted("2001:db8:0:1::1")]).toEqual([false, true]);
    pass(1);
    expect(isAdmitted("2001:db8::1")).toBe(true);
  }
  expect(new Set(hits)).toEqual(new Set(["cut_source"]));
});

test("a source that was quiet for ten minutes after its time begins anew", () => {
  const { known, isAdmitted, pass } = sources();
  known.cut("192.0.2.1");
  pass(1_000);
  known.cut("192.0.2.1");
  pass(4_000 + 600_000);
  known.cut("192.0.2.1");
  pass(1_000);
  expect(isAdmitted("192.0.2.1")).toBe(true);
});

test("ten thousand sources that were cut off are remembered, the newest ones", () => {
  const { known, isAdmitted } = sources();
  for (let n = 0; n <= 10_000; n += 1) known.cut(`10.0.${n >> 8}.${n & 255}`);
  expect([isAdmitted("10.0.0.0"), isAdmitted("10.0.0.1"), isAdmitted("10.0.39.16")]).toEqual([true, false, false]);
});

test("an address from which a backend has proved itself is not refused for a day, whatever strangers do there", () => {
  const { known, isAdmitted, pass, hits } = sources();
  known.prove("192.0.2.1", 40_000);
  known.cut("192.0.2.1");
  known.cut("192.0.2.2");
  expect([isAdmitted("192.0.2.1"), isAdmitted("192.0.2.2")]).toEqual([true, false]);
  expect([known.isCut("192.0.2.1"), known.isCut("192.0.2.3")]).toEqual([true, false]);
  pass(24 * 60 * 60_000);
  known.cut("192.0.2.1");
  expect(isAdmitted("192.0.2.1")).toBe(false);
  expect(hits).toEqual(["cut_source", "cut_source"]);
});

test("at a known address strangers make room, the oldest first, and proven sockets never do", () => {
  const { known, isAdmitted } = sources(2);
  const ended: string[] = [];
  const named = (name: string, remotePort: number) =>
    Object.assign(socketFrom("192.0.2.1"), { remotePort, destroy: () => ended.push(name) });
  const [backend, stranger, next] = [named("backend", 1), named("stranger", 2), named("next", 3)];
  expect([known.admit(backend), known.admit(stranger)]).toEqual([true, true]);
  expect(isAdmitted("192.0.2.1")).toBe(false);
  known.prove("192.0.2.1", 1);
  expect(known.admit(next)).toBe(true);
  expect(ended).toEqual(["stranger"]);
  known.prove("192.0.2.1", 3);
  expect(isAdmitted("192.0.2.1")).toBe(false);
});

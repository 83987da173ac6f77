// Servers under measurement, each a process of its own, asked by messages.
import { fork } from "node:child_process";
import { openSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;

/** Every listener of a service on a port that the system chooses, so that several stand side by side. */
export const ANY_PORTS = { MFA_PORT: "0", MFA_GATEWAY_PORT: "0", MFA_ADMIN_PORT: "0", MFA_INTERNAL_PORT: "0" };

/** Starts a script that reports its port; the reply to `ask` is whatever it answers. */
export async function start(script, { args = [], env = {}, log = "/dev/null", execArgv = [] } = {}) {
  const child = fork(join(here, script), args, {
    env: { ...process.env, ...env },
    execArgv: ["--max-semi-space-size=4", ...execArgv],
    stdio: ["ignore", "ignore", openSync(log, "a"), "ipc"],
  });
  const waiting = new Map();
  let ids = 0;
  const first = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`${script} ended with ${code}; see ${log}`)));
  });
  child.on("message", ({ id, answer }) => waiting.get(id)?.(answer));
  const ask = (question, by) =>
    new Promise((resolve) => {
      waiting.set(++ids, resolve);
      child.send({ id: ids, ask: question, by });
    });
  return {
    ...first,
    pid: child.pid,
    ask,
    stop: async () => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.send({ id: ++ids, ask: "stop" });
      await ended;
    },
  };
}

/** Runs a script to its end. */
export const run = (script, args, env = {}) =>
  new Promise((resolve, reject) => {
    const child = fork(join(here, script), args, { env: { ...process.env, ...env }, stdio: "inherit" });
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${script} ended with ${code}`))));
  });

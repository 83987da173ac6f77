// A phone on the command line: pairs, lists what waits, shows it, asks for the number, signs. On any Node from 20 on:
//
//   node examples/push-device/push-device.mjs pair "mfapush://pair?token=…"
//   node examples/push-device/push-device.mjs list
//   node examples/push-device/push-device.mjs answer      (waits for the next request)
//
// MFA_ADDRESS is the service's (127.0.0.1:11005), PHONE_FILE where the phone keeps its key (phone.json).
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { newKey, openPhone, readPairing } from "./phone.mjs";

const { MFA_ADDRESS = "127.0.0.1:11005", PHONE_FILE = "phone.json" } = process.env;
const say = (text) => process.stdout.write(`${text}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (question) => {
  say(question);
  return ((await lines.next()).value ?? "").trim();
};

const keep = (state) => writeFileSync(PHONE_FILE, JSON.stringify(state), { mode: 0o600 });
const load = () => JSON.parse(readFileSync(PHONE_FILE, "utf8"));

function show({ context, createTime }) {
  say(`${context.application}: ${context.renderedAction || "a log-in"}`);
  const place = [context.ip || "an unknown address", context.location].filter(Boolean).join(", ");
  // Not every application is a browser: of one that the service does not know, its name above says all there is.
  say(`  from ${place}${context.userAgent && ` with ${context.userAgent}`}`);
  say(`  at ${new Date(Number(createTime.seconds) * 1000).toISOString()}`);
}

/** Waits for a request, at most two minutes. */
async function next(phone) {
  for (let n = 0; n < 60; n++) {
    const [first] = await phone.pending();
    if (first) return first;
    await wait(2_000);
  }
  return undefined;
}

const commands = {
  async pair(text) {
    const { token, address } = readPairing(text);
    const state = { address: address || MFA_ADDRESS, key: newKey() };
    const phone = openPhone(state);
    const { accountName, issuer } = await phone.pair(token);
    keep(state);
    say(`paired: ${accountName} at ${issuer}, device ${state.deviceId}`);
    return phone;
  },
  async list() {
    const phone = openPhone(load());
    const waiting = await phone.pending();
    for (const challenge of waiting) show(challenge);
    say(`${waiting.length} waiting`);
    return phone;
  },
  async answer() {
    const phone = openPhone(load());
    const challenge = await next(phone);
    if (!challenge) {
      say("nothing came");
      return phone;
    }
    show(challenge);
    const typed = await ask(`The ${challenge.numberLength}-digit number of the page? (n: deny, x: it was not me)`);
    if (typed === "n" || typed === "x") await phone.deny(challenge, typed === "x" ? "NOT_ME" : "MISTAKE");
    else await phone.approve(challenge, typed);
    say(typed === "n" || typed === "x" ? "denied" : "approved");
    return phone;
  },
};

const [name = "", argument = ""] = process.argv.slice(2);
try {
  if (!Object.hasOwn(commands, name)) throw new Error("say pair <code>, list or answer");
  (await commands[name](argument)).close();
} catch (refusal) {
  say(`no: ${refusal.message}`);
  process.exitCode = 1;
}
process.stdin.destroy();

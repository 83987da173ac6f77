// The page in front of log-in.mjs, on the command line:
//
//   export SERVICE_TOKEN=$(npm run -s token -- service shop)
//   node examples/login-backend/main.mjs ann
//
// MFA_ADDRESS is the service's (127.0.0.1:11005), MFA_KEYS its key set, MFA_STRENGTH what is asked for at least
// (ANY_FACTOR has a user without a factor enroll one), MFA_CONFIRM what is wanted of who needs no factor (EMAIL).
import { createInterface } from "node:readline";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { connect, createLogIn } from "./log-in.mjs";

const {
  MFA_ADDRESS = "127.0.0.1:11005",
  MFA_KEYS = "http://127.0.0.1:11006/.well-known/jwks.json",
  MFA_STRENGTH = "UNSPECIFIED",
  MFA_CONFIRM = "",
  SERVICE_TOKEN = "",
} = process.env;
const [userId = "ann"] = process.argv.slice(2);

const say = (text) => process.stdout.write(`${text}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (question) => {
  say(question);
  return ((await lines.next()).value ?? "").trim();
};

const channel = connect(MFA_ADDRESS);
const logIns = createLogIn({
  ...{ channel, token: SERVICE_TOKEN, audience: "shop", keySetUrl: MFA_KEYS },
  ...{ strength: MFA_STRENGTH, confirm: MFA_CONFIRM },
});

/** What the page does with a ticket, which is good for this and nothing else. */
async function enroll(ticket) {
  const holder = `Ticket ${ticket}`;
  const { startTotpEnrollment, finishTotpEnrollment } = MfaService.method;
  const { provisioning } = await channel.call(startTotpEnrollment, holder, {});
  const code = await ask(`Add this to an authenticator app: ${provisioning.otpauthUri}\nThe code it shows?`);
  const { backupCodes } = await channel.call(finishTotpEnrollment, holder, { code });
  say(`Keep these: ${backupCodes.join(" ")}`);
}

const cases = { TOTP: "totpCode", SMS: "smsCode", EMAIL: "emailCode", BACKUP_CODE: "backupCode" };

/** Has the user prove the factor they chose, and says what is left; asks again for a code that was wrong. */
async function prove(logIn, type) {
  const prepared = await logIns.prepare(logIn, { type });
  if (prepared.case === "push") {
    say(`On your phone, type ${prepared.value.number}`);
    return logIns.answered(logIn, type);
  }
  if (prepared.case === "webauthnOptions") {
    const response = JSON.parse(await ask(`Sign this: ${JSON.stringify(prepared.value)}`));
    return logIns.answer(logIn, { case: "webauthn", value: response });
  }
  for (;;) {
    try {
      return await logIns.answer(logIn, { case: cases[type], value: await ask("The code?") });
    } catch (refusal) {
      if (refusal.message !== "CODE_REJECTED") throw refusal;
      say("no: CODE_REJECTED");
    }
  }
}

try {
  const client = { ip: "203.0.113.7", userAgent: "Firefox/140 Linux", application: "shop" };
  let found = await logIns.begin({ userId, client }); // the password was right
  if (found.ticket) {
    await enroll(found.ticket);
    found = await logIns.begin({ userId, client });
  }
  if (found.denied) throw new Error("DENIED");
  let { session } = found;
  if (found.logIn) {
    let left = found.factors;
    do {
      const offers = left.map(({ type, displayName, maskedTarget }) =>
        [`  ${FactorType[type]}`, displayName, maskedTarget].filter(Boolean).join(" "),
      );
      const type = await ask([`Choose how to prove that you are ${userId}:`, ...offers, "Which?"].join("\n"));
      left = await prove(found.logIn, type);
      if (!left) throw new Error("DENIED");
    } while (left.length > 0);
    session = await logIns.finish(found.logIn);
  }
  say(`session: ${JSON.stringify(session)}`);
} catch (refusal) {
  say(`no: ${refusal.message}`);
  process.exitCode = 1;
}
channel.close();
process.stdin.destroy();

import { create, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Command } from "commander";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import { type Calls, connected } from "./connection.ts";
import { EXIT, type Io } from "./io.ts";
import { printReply } from "./print.ts";
import { confirm, type Globals } from "./verbs.ts";
import { secondsOf } from "./words.ts";

const rpc = AdminMfaService.method;

/** What is shown of a user, a heading and a call each. */
const PARTS: readonly (readonly [string, DescMethodUnary])[] = [
  ["Factors", rpc.listUserFactors],
  ["Locks", rpc.listLockouts],
  ["Backup codes", rpc.getUserBackupCodeCount],
  ["Trusted devices", rpc.listUserTrustedDevices],
  ["Push requests", rpc.listUserPushChallenges],
  ["Decisions of risk", rpc.listRiskDecisions],
];

type Requests = Readonly<Record<string, unknown>>;

const ask = (calls: Calls, method: DescMethodUnary, init: Requests): Promise<Message> =>
  calls.unary(method, create(method.input, init));

/** Shows a part; one that the caller may not see says so, and does not hide the others. */
async function showPart(
  calls: Calls,
  [heading, method]: (typeof PARTS)[number],
  userId: string,
  io: Io,
): Promise<boolean> {
  io.out(`\n${heading}\n`);
  try {
    const isFiltered = method === rpc.listRiskDecisions;
    const reply = await ask(calls, method, isFiltered ? { filter: { userId }, userId, pageSize: 5 } : { userId });
    let text = "";
    printReply(method.output, reply, false, {
      ...io,
      out: (part) => {
        text += part;
      },
    });
    io.out(text === "Done.\n" ? "  none\n" : text.replaceAll(/^(?=.)/gm, "  "));
    return true;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    if (code === Code.Unavailable || code === Code.Unauthenticated) throw error;
    io.out(`  not shown: ${rawMessage}\n`);
    return false;
  }
}

function showCommand(io: Io): Command {
  return new Command("show")
    .argument("<id>", "the user: the exact subject of their tokens")
    .description("shows everything about one user on a screen")
    .action((userId: string, _: object, command: Command) =>
      connected(io, command.optsWithGlobals<Globals>().context, async (calls) => {
        io.out(`User ${userId}\n`);
        const shown = [];
        for (const part of PARTS) shown.push(await showPart(calls, part, userId, io));
        if (shown.includes(false)) command.setOptionValue("exit", EXIT.partly);
      }),
    );
}

function resetCommand(io: Io): Command {
  return new Command("reset")
    .argument("<id>", "the user")
    .requiredOption("--reason <text>", "why; stands in the audit trail")
    .option("--cool-down <duration>", "how long no factor may be enrolled: 1h")
    .option("--pass", "issue a temporary pass at the end, shown once")
    .description("takes all factors of a user who has lost them, and ends their lock")
    .action(
      async (userId: string, options: { reason: string; coolDown?: string; pass?: boolean }, command: Command) => {
        const globals = command.optsWithGlobals<Globals>();
        await confirm(io, globals, `the reset of ${userId}`);
        const { reason } = options;
        const coolDown = options.coolDown && { coolDown: { seconds: BigInt(secondsOf(options.coolDown)), nanos: 0 } };
        await connected(io, globals.context, async (calls) => {
          const reply = await ask(calls, rpc.resetUserMfa, { userId, reason, ...coolDown });
          printReply(rpc.resetUserMfa.output, reply, false, io);
          if (!options.pass) return;
          const lifetime = { seconds: 3600n, nanos: 0 };
          const pass = await ask(calls, rpc.issueTemporaryPass, { userId, reason, lifetime });
          printReply(rpc.issueTemporaryPass.output, pass, false, io);
        });
      },
    );
}

/** `user show|reset`: what a help desk does for one person. */
export const userCommand = (io: Io): Command =>
  new Command("user").description("one user at a time").addCommand(showCommand(io)).addCommand(resetCommand(io));

import tab from "@bomb.sh/tab/commander";
import { Command, CommanderError } from "commander";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { versionOf } from "../../version.ts";
import { contextCommand } from "./context-command.ts";
import { chosenContext } from "./contexts.ts";
import { auditCommand, exportCommand, importCommand } from "./data-commands.ts";
import { doctorCommand } from "./doctor-command.ts";
import { tellFailure } from "./failures.ts";
import { EXIT, type Exit, type Io } from "./io.ts";
import {
  backupCommands,
  configCommand,
  devCommand,
  keysCommand,
  migrateCommand,
  tokenCommand,
} from "./local-commands.ts";
import { userCommand } from "./user-command.ts";
import { serviceCommand } from "./verbs.ts";

const ENVIRONMENT = `
Environment, before the context:
  MFACTL_CONTEXT        the context to use
  MFACTL_ADDRESS        the gRPC listener, https://mfa.example:11005
  MFACTL_TOKEN          an access token
  MFACTL_SERVICE_TOKEN  an access token or service key for the calls of backends
  MFACTL_TOKEN_COMMAND  a command that prints one for the audience in MFACTL_AUDIENCE
  MFACTL_CA_FILE        the CA of the server (PEM)
  MFACTL_CONFIG         the file of contexts, ~/.config/mfactl.json by default

Values: @file reads a file, @- standard input. Durations: 45s, 1h30m, 90d. Times: now, "2h ago", 2026-03-01.
Exit codes: 0 done, 1 refused, 2 wrong usage, 3 unreachable, 4 partly done.
`;

function quieten(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: io.out,
    writeErr: io.err,
    getOutHelpWidth: () => io.width,
    getErrHelpWidth: () => io.width,
  });
  command.showSuggestionAfterError(true);
  for (const inner of command.commands) quieten(inner, io);
}

/** Returns the whole program, with every verb of the contract. */
export function programOf(io: Io): Command {
  const program = new Command("mfactl")
    .description("Operates mfa-service: every call of administrators and backends, and what takes more than one.")
    .version(versionOf())
    .option("--context <name>", "the service to talk to; `mfactl context` keeps them")
    .option("-y, --yes", "go on without asking where something is destroyed")
    .addHelpText("after", ENVIRONMENT);
  const own = [contextCommand, doctorCommand, userCommand, auditCommand, importCommand, exportCommand, configCommand];
  for (const make of [...own, keysCommand, migrateCommand, tokenCommand, devCommand]) program.addCommand(make(io));
  for (const command of backupCommands(io)) program.addCommand(command);
  program.addCommand(serviceCommand("admin", AdminMfaService, io));
  program.addCommand(serviceCommand("internal", InternalMfaService, io));
  tab(program, { completionCommandName: "completion" });
  quieten(program, io);
  return program;
}

const addressOf = (io: Io, name: string | undefined) => {
  try {
    return chosenContext({ ...io, err: () => {} }, name).address;
  } catch {
    return "the service";
  }
};

/** Runs a command line; returns the exit code. */
export async function runMfactl(argv: readonly string[], io: Io): Promise<Exit> {
  const program = programOf(io);
  let exit: Exit = EXIT.done;
  program.hook("postAction", (_, action) => {
    exit = (action.getOptionValue("exit") as Exit | undefined) ?? exit;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return exit;
  } catch (error) {
    // Its message stands there already; help and version end this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (io.signal.aborted) return EXIT.done;
    const told = tellFailure(error, addressOf(io, program.opts().context));
    io.err(told.text);
    return told.exit;
  }
}

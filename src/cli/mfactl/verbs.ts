import type { DescMethod, DescMethodServerStreaming, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { getOption, hasOption, toJson } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { access } from "../../../gen/mfa/v1/options_pb.js";
import { connected } from "./connection.ts";
import { commentOf, type FieldOption, firstSentence, optionsOf } from "./fields.ts";
import { type Io, usage } from "./io.ts";
import { printReply, showable } from "./print.ts";
import { requestOf } from "./request.ts";
import { verbOf } from "./words.ts";

/** What every command takes besides its own options. */
export interface Globals {
  readonly context?: string;
  readonly json?: string | boolean;
  readonly yes?: boolean;
}

/** RPCs that take something away that no other RPC gives back. */
const DESTROYS = /^(Delete|Erase|Reset|Revoke|Repair|Disable|Rotate|Cancel|CleanUp)/;

/** Asks before something is destroyed; throws Stop where nobody agrees. */
export async function confirm(io: Io, { yes }: Globals, what: string): Promise<void> {
  if (yes) return;
  if (!io.isTty) throw usage(`${what} takes something away for good: repeat it with --yes`);
  if (!(await io.ask(`${what} takes something away for good. Go on? [y/N] `))) throw usage("nothing was done");
}

function scopeLine(method: DescMethod): string {
  const scope = hasOption(method, access) ? getOption(method, access).scope : "";
  return scope ? `\n\nScope: ${scope}` : "";
}

const flagOf = ({ name, value }: FieldOption) => (value === "" ? `--${name} [true|false]` : `--${name} <${value}>`);

function optionOf(field: FieldOption): Option {
  const option = new Option(flagOf(field), field.help);
  if (field.value === "") option.preset("true");
  if (!field.isList) return option;
  return option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
}

/** A command for an RPC; `act` does it with the request. */
function commandOf(
  method: DescMethod,
  io: Io,
  act: (request: Awaited<ReturnType<typeof requestOf>>, globals: Globals) => Promise<void>,
) {
  const text = commentOf(`${method.parent.typeName}.${method.name}`);
  const command = new Command(verbOf(method.name))
    .summary(firstSentence(text))
    .description(`${text}${scopeLine(method)}`)
    .option("--json [request]", "print JSON; with a text, @file or - the request as JSON, under the other options");
  const fields = optionsOf(method.input).map((field) => ({ field, option: optionOf(field) }));
  for (const { option } of fields) command.addOption(option);
  return command.action(async () => {
    const values = command.opts<Record<string, string | readonly string[] | undefined>>();
    const globals = command.optsWithGlobals<Globals>();
    const given = fields.flatMap(({ field, option }) => {
      const value = values[option.attributeName()];
      return value === undefined ? [] : [[field, value] as const];
    });
    const json = typeof globals.json === "string" ? globals.json : undefined;
    await act(await requestOf(method.input, { options: new Map(given), json }, io), globals);
  });
}

function unaryCommand(method: DescMethodUnary, io: Io): Command {
  return commandOf(method, io, async (request, globals) => {
    if (DESTROYS.test(method.name)) await confirm(io, globals, verbOf(method.name));
    await connected(io, globals.context, async ({ unary }) =>
      printReply(method.output, await unary(method, request), globals.json !== undefined, io),
    );
  });
}

/** A stream as lines: of JSON, or of what each message says. */
function tailCommand(method: DescMethodServerStreaming, io: Io): Command {
  return commandOf(method, io, async (request, globals) => {
    await connected(io, globals.context, async ({ stream }) => {
      for await (const message of stream(method, request)) {
        const json = JSON.stringify(toJson(method.output, message));
        io.out(`${globals.json === undefined ? showable(json) : json}\n`);
      }
    });
  });
}

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary";
const isStream = (method: DescMethod): method is DescMethodServerStreaming => method.methodKind === "server_streaming";

/** The group of commands of a service: a verb for each unary RPC, and its streams under `tail`. */
export function serviceCommand(name: string, service: DescService, io: Io): Command {
  const group = new Command(name).description(`calls of ${service.name}, one verb each`);
  const tail = new Command("tail").description("follows a stream until Ctrl-C, one JSON object a line");
  for (const method of service.methods) {
    if (isUnary(method)) group.addCommand(unaryCommand(method, io));
    if (isStream(method)) tail.addCommand(tailCommand(method, io));
  }
  return group.addCommand(tail);
}

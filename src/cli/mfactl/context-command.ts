import { Command } from "commander";
import { CONTEXT_SETTINGS, type Context, contextsPath, readContexts, writeContexts } from "./contexts.ts";
import { type Io, usage } from "./io.ts";
import { tableOf } from "./print.ts";
import { kebab } from "./words.ts";

const NAMES = Object.keys(CONTEXT_SETTINGS) as (keyof Context)[];

function setCommand(io: Io): Command {
  const command = new Command("set")
    .argument("<name>")
    .description("makes or changes a context, and uses it from now on");
  for (const name of NAMES) command.option(`--${kebab(name)} <value>`, CONTEXT_SETTINGS[name]);
  return command.action((name: string) => {
    const file = readContexts(io);
    const changed = { ...file.contexts[name], ...command.opts<Partial<Context>>() };
    const { address } = changed;
    if (!address) throw usage("a context has an --address");
    writeContexts(io, { current: name, contexts: { ...file.contexts, [name]: { ...changed, address } } });
    io.out(`${name} is the current context; it is in ${contextsPath(io)}.\n`);
  });
}

/** The commands for contexts: which services there are, and how to prove who one is. */
export function contextCommand(io: Io): Command {
  const group = new Command("context").description(
    "keeps addresses and credentials of services, in a file of your own",
  );
  group.addCommand(setCommand(io));
  group
    .command("list")
    .description("lists the contexts")
    .action(() => {
      const { contexts, current } = readContexts(io);
      const rows = Object.entries(contexts).map(([name, { address }]) => [name === current ? "*" : "", name, address]);
      io.out(
        rows.length > 0
          ? tableOf(["", "name", "address"], rows)
          : "There are none: `mfactl context set <name> --address …`\n",
      );
    });
  group
    .command("use")
    .argument("<name>")
    .description("makes a context the current one")
    .action((name: string) => {
      const file = readContexts(io);
      if (!file.contexts[name]) throw usage(`there is no context ${name}: \`mfactl context list\` shows them`);
      writeContexts(io, { ...file, current: name });
      io.out(`${name} is the current context.\n`);
    });
  group
    .command("delete")
    .argument("<name>")
    .description("forgets a context")
    .action((name: string) => {
      const { contexts, current } = readContexts(io);
      const { [name]: gone, ...left } = contexts;
      if (!gone) throw usage(`there is no context ${name}`);
      writeContexts(io, { contexts: left, ...(current && current !== name && { current }) });
      io.out(`${name} is forgotten.\n`);
    });
  return group;
}

import { parseArgs } from "node:util";
import { addKey, createKeyFile, makePrimary } from "../crypto/key-file.ts";

const USAGE = `Makes and changes the operator's keys.

  npm run -s keys -- <path>                  writes a new key file for production, once
  npm run -s keys -- <path> --add            adds a key; restart every instance with the file before the next step
  npm run -s keys -- <path> --primary <id>   has a key be the primary one, from the next start on
`;

async function main(): Promise<string> {
  const options = { add: { type: "boolean", default: false }, primary: { type: "string" } } as const;
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const [path, ...more] = positionals;
  if (!path || more.length > 0 || (values.add && values.primary !== undefined)) throw new Error(USAGE);
  if (values.add) {
    const id = await addKey(path);
    return `Added ${id} to ${path}. Restart every instance with this file, then run it again with --primary ${id}.\n`;
  }
  if (values.primary !== undefined) {
    await makePrimary(path, values.primary);
    return `${values.primary} is the primary key of ${path} from the next start on. Keep the others in the file.\n`;
  }
  return (await createKeyFile(path))
    ? `Wrote ${path}. Keep a copy apart from the database: without it no enrolled secret can be read again.\n`
    : `${path} exists already and was left alone.\n`;
}

try {
  process.stdout.write(await main());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

import { createKeyFile } from "../crypto/key-file.ts";

const [path] = process.argv.slice(2);
if (!path) {
  process.stderr.write("Writes a new key file for production, once.\n\n  npm run -s keys -- <path>\n");
  process.exit(1);
}
const written = await createKeyFile(path);
process.stdout.write(
  written
    ? `Wrote ${path}. Keep a copy apart from the database: without it no enrolled secret can be read again.\n`
    : `${path} exists already and was left alone.\n`,
);

import { parseArgs } from "node:util";
import { loadConfig } from "../config/config.ts";
import { type DevTokenClaims, mintDevToken } from "../dev/dev-issuer.ts";
import { devClaims } from "./mfactl/dev-claims.ts";

const USAGE = `Mints a token of the dev mode's issuer, good for an hour.

  npm run -s token -- user <id> [--aal2] [--tenant <id>]
  npm run -s token -- service <name> [--scope "<scope> …"] [--tenant <id>]
  npm run -s token -- admin <id> [--aal1] [--scope "<scope> …"] [--tenant <id>]

Without --scope a service or an administrator gets every scope there is.
`;

function claimsOf(): DevTokenClaims | undefined {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      aal1: { type: "boolean", default: false },
      aal2: { type: "boolean", default: false },
      scope: { type: "string" },
      tenant: { type: "string", default: "dev" },
    },
  });
  const [kind, subject] = positionals;
  if (!subject) return undefined;
  return devClaims(kind ?? "", subject, values);
}

async function main(): Promise<void> {
  const claims = claimsOf();
  if (!claims) throw new Error(USAGE);
  // The service may have been told another folder the same way.
  const { dataDir } = loadConfig(["--dev"]);
  process.stdout.write(`${await mintDevToken(dataDir, claims)}\n`);
}

main().catch((error: NodeJS.ErrnoException) => {
  const text =
    error.code === "ENOENT" ? "There is no dev mode here yet: run `npm start` first.\n" : `${error.message}\n`;
  process.stderr.write(text);
  process.exit(1);
});

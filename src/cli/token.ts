import { parseArgs } from "node:util";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { access } from "../../gen/mfa/v1/options_pb.js";
import { loadConfig } from "../config.ts";
import { type Claims, mintDevToken } from "../dev/dev-issuer.ts";

const USAGE = `Mints a token of the dev mode's issuer, good for an hour.

  npm run -s token -- user <id> [--aal2] [--tenant <id>]
  npm run -s token -- service <name> [--scope "<scope> …"] [--tenant <id>]
  npm run -s token -- admin <id> [--aal1] [--scope "<scope> …"] [--tenant <id>]

Without --scope a service or an administrator gets every scope there is.
`;

const scopesOf = ({ methods }: typeof AdminMfaService | typeof InternalMfaService): string =>
  [...new Set(methods.filter((m) => hasOption(m, access)).map((m) => getOption(m, access).scope))].join(" ");

function claimsOf(): Claims | undefined {
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
  const { tenant, scope } = values;
  switch (kind) {
    case "user":
      return { audience: "mfa", subject, tenant, acr: values.aal2 ? "aal2" : "aal1" };
    case "service":
      return { audience: "mfa-internal", subject, tenant, scope: scope ?? scopesOf(InternalMfaService) };
    case "admin": {
      const acr = values.aal1 ? "aal1" : "aal2";
      return { audience: "mfa-admin", subject, tenant, acr, scope: scope ?? scopesOf(AdminMfaService) };
    }
    default:
      return undefined;
  }
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

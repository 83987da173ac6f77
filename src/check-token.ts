import { text } from "node:stream/consumers";
import { loadIssuers } from "./config/config.ts";
import { openDevIssuer } from "./dev/dev-issuer.ts";
import { openIssuer } from "./rpc/access/tokens/configured.ts";
import { explainToken } from "./rpc/access/tokens/explain.ts";

const USAGE = `Says of each check of a token whether it holds, and which setting would change that.

  mfa-service check-token [--dev] < token.txt

The settings are those of MFA_CONFIG; with --dev the dev mode's own issuer counts, too.
`;

/**
 * `mfa-service check-token`: reads a token from standard input, and prints each check of it with its verdict and the
 * setting that would change it. Asks the settings for issuers only, and changes nothing. Answers the exit code: 0 for a
 * token that is accepted, 1 for one that is refused, 2 for options that there are not.
 */
export async function checkToken(argv: readonly string[]): Promise<0 | 1 | 2> {
  const unknown = argv.find((word) => word !== "--dev");
  if (unknown !== undefined) {
    const asked = unknown === "--help" || unknown === "-h";
    (asked ? process.stdout : process.stderr).write(asked ? USAGE : `unknown option ${unknown}\n\n${USAGE}`);
    return asked ? 0 : 2;
  }
  const { issuers, devIssuerIn } = loadIssuers(argv);
  const opened = await Promise.all(issuers.map(openIssuer));
  const known = devIssuerIn === undefined ? opened : [...opened, await openDevIssuer(devIssuerIn)];
  const { isAccepted, lines } = await explainToken((await text(process.stdin)).trim(), known, new Date());
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  return isAccepted ? 0 : 1;
}

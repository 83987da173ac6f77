import type { Config } from "../config.ts";
import { mintDevToken } from "./dev-issuer.ts";

/** What to paste after the start of dev mode: a token, a first call for either tool, and how to mint more. */
export async function devBanner(
  { dataDir }: Pick<Config, "dataDir">,
  listeners: readonly { kind: string; port: number }[],
): Promise<string> {
  const port = listeners.find(({ kind }) => kind === "grpc")?.port;
  const token = await mintDevToken(dataDir, { audience: "mfa", subject: "ann", acr: "aal1" });
  return `
Data and generated keys: ${dataDir} (development only)

Enrol an authenticator app as the user "ann":

  TOKEN=${token}

  npx buf curl --http2-prior-knowledge --protocol grpc -H "Authorization: Bearer $TOKEN" -d '{}' \\
    http://127.0.0.1:${port}/mfa.v1.MfaService/StartTotpEnrollment

  grpcurl -plaintext -H "Authorization: Bearer $TOKEN" -d '{}' \\
    127.0.0.1:${port} mfa.v1.MfaService/StartTotpEnrollment

More tokens, each good for an hour:

  npm run -s token -- user ann              a user after the first factor (aal1)
  npm run -s token -- user ann --aal2       a user after the second
  npm run -s token -- service shop          a backend, with every scope
  npm run -s token -- admin root            an administrator, with every scope
`;
}

import type { Config } from "../config/config.ts";
import { mintDevToken } from "./dev-issuer.ts";

/** Where the service listens, and which pages may call. */
function doors(
  { listeners: settings }: Pick<Config, "listeners">,
  listeners: readonly { kind: string; port: number }[],
) {
  const lines = listeners.flatMap(({ kind, port }) => {
    if (kind === "gateway") return [`Console: http://localhost:${port}/console/`, `Browsers: http://localhost:${port}`];
    return kind === "internal" ? [`Backends, by JSON: http://127.0.0.1:${port}`] : [];
  });
  const origins = settings.flatMap((listener) => ("origins" in listener ? listener.origins : []));
  const allowed = ["those of this machine, on any port", ...new Set(origins)].join(", ");
  return [...lines, `Pages that may call: ${allowed} (MFA_ORIGINS adds more)`].join("\n");
}

/** What to paste after the start of dev mode: addresses, a token, a first call for either tool, and how to mint more. */
export async function devBanner(
  config: Pick<Config, "dataDir" | "listeners">,
  listeners: readonly { kind: string; port: number }[],
): Promise<string> {
  const { dataDir } = config;
  const port = listeners.find(({ kind }) => kind === "grpc")?.port;
  const token = await mintDevToken(dataDir, { audience: "mfa", subject: "ann", acr: "aal1" });
  return `
Data and generated keys: ${dataDir} (development only)
${doors(config, listeners)}

Enroll an authenticator app as the user "ann":

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

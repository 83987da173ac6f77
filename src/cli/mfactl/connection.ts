import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, Message } from "@bufbuild/protobuf";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { mintDevToken } from "../../dev/dev-issuer.ts";
import { type Context, chosenContext } from "./contexts.ts";
import { devClaims } from "./dev-claims.ts";
import { EXIT, type Io, Stop, usage } from "./io.ts";

const run = promisify(execFile);

/** Calls of a service in one context. */
export interface Calls {
  readonly context: Context;
  unary(method: DescMethodUnary, request: Message): Promise<Message>;
  stream(method: DescMethodServerStreaming, request: Message): AsyncIterable<Message>;
}

function fileOf(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw usage(`the ${what} ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

async function commanded(command: string, audience: string, { env }: Io): Promise<string> {
  try {
    const { stdout } = await run("/bin/sh", ["-c", command], { env: { ...env, MFACTL_AUDIENCE: audience } });
    return stdout.trim();
  } catch (error) {
    throw new Stop(
      EXIT.refused,
      `the command for tokens failed: ${(error as { stderr?: string }).stderr?.trim() ?? ""}`,
    );
  }
}

/** Returns the credential of a call: of the environment first, then of the context; undefined with a client certificate. */
export async function credentialOf(context: Context, service: string, io: Io): Promise<string | undefined> {
  const isInternal = service.endsWith("InternalMfaService");
  const audience = isInternal ? "mfa-internal" : "mfa-admin";
  const given = isInternal ? io.env.MFACTL_SERVICE_TOKEN || io.env.MFACTL_TOKEN : io.env.MFACTL_TOKEN;
  if (given) return given;
  if (isInternal && context.serviceKeyFile) return fileOf(context.serviceKeyFile, "service key");
  if (context.tokenCommand) return commanded(context.tokenCommand, audience, io);
  if (!isInternal && context.tokenFile) return fileOf(context.tokenFile, "token");
  if (context.devDataDir) {
    const claims = devClaims(isInternal ? "service" : "admin", "mfactl", { tenant: io.env.MFACTL_TENANT || "dev" });
    if (claims) return mintDevToken(context.devDataDir, claims, io.now()).catch(() => undefined);
  }
  if (context.certFile) return undefined;
  throw usage(`no credential for ${audience}: give MFACTL_TOKEN, or \`mfactl context set\` with --token-command`);
}

function sessionOf({ address, caFile, certFile, keyFile }: Context): Http2SessionManager {
  if (!/^https?:\/\/[^/]+\/?$/.test(address)) throw usage(`${address} is no address like https://mfa.example:11005`);
  return new Http2SessionManager(address, undefined, {
    ...(caFile && { ca: fileOf(caFile, "CA") }),
    ...(certFile && { cert: fileOf(certFile, "certificate") }),
    ...(keyFile && { key: fileOf(keyFile, "key") }),
  });
}

function connect(io: Io, context: Context, sessionManager: Http2SessionManager): Calls {
  const transport = createGrpcTransport({ baseUrl: context.address, sessionManager });
  const headersOf = async (service: string): Promise<Record<string, string>> => {
    const credential = await credentialOf(context, service, io);
    return credential === undefined ? {} : { authorization: `Bearer ${credential}` };
  };
  async function* stream(method: DescMethodServerStreaming, request: Message): AsyncIterable<Message> {
    const headers = await headersOf(method.parent.typeName);
    async function* once() {
      yield request;
    }
    const reply = await transport.stream<DescMessage, DescMessage>(method, io.signal, undefined, headers, once());
    yield* reply.message;
  }
  return {
    context,
    async unary(method, request) {
      const headers = await headersOf(method.parent.typeName);
      return (await transport.unary<DescMessage, DescMessage>(method, io.signal, undefined, headers, request)).message;
    },
    stream,
  };
}

/** Makes calls in the context that the command line, the environment or the file name, over one connection. */
export async function connected<T>(
  io: Io,
  name: string | undefined,
  work: (connection: Calls) => Promise<T>,
): Promise<T> {
  const context = chosenContext(io, name);
  const session = sessionOf(context);
  try {
    return await work(connect(io, context, session));
  } finally {
    session.abort();
  }
}

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { onTestFinished } from "vitest";
import { authority } from "./certificates.ts";

/** A mail as it arrived. */
export interface Arrived {
  readonly mail: Email;
  readonly raw: string;
  readonly encrypted: boolean;
  readonly user: string;
  readonly to: readonly string[];
}

/** How a mail server of a test behaves. */
export interface Behaviour {
  /** The reply to a recipient, where it is not 250. */
  readonly refuse?: (address: string) => number | undefined;
  /** The reply to the text, where it is not 250. */
  readonly refuseText?: () => number | undefined;
  readonly options?: SMTPServerOptions;
}

export const credentials = { user: "mfa", password: "s3cret" };

const refusal = (responseCode: number) => Object.assign(new Error("no"), { responseCode });

/** A mail server that is not ours (the npm package smtp-server), with TLS of a CA of the test's own, asking for a log-in. */
export async function mailServer({ refuse, refuseText, options }: Behaviour = {}) {
  const folder = await mkdtemp(join(tmpdir(), "mfa-mail-"));
  const { ca, issue } = authority();
  const { cert, key } = issue({ usage: "serverAuth" });
  const caFile = join(folder, "ca.pem");
  await writeFile(caFile, ca);
  const arrived: Arrived[] = [];
  let seen = () => {};
  const server = new SMTPServer({
    key,
    cert,
    authMethods: ["PLAIN", "LOGIN"],
    onAuth: ({ username, password }, _session, done) =>
      username === credentials.user && password === credentials.password
        ? done(null, { user: username })
        : done(refusal(535)),
    onRcptTo: ({ address }, _session, done) => {
      const code = refuse?.(address);
      done(code === undefined ? null : refusal(code));
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", async () => {
        const code = refuseText?.();
        if (code !== undefined) return done(refusal(code));
        const raw = Buffer.concat(chunks).toString();
        const to = session.envelope.rcptTo.map(({ address }) => address);
        arrived.push({
          raw,
          to,
          mail: await PostalMime.parse(raw),
          encrypted: session.secure,
          user: String(session.user),
        });
        done();
        seen();
      });
    },
    ...options,
  });
  // A client that does not trust the CA ends the connection with an error, which is its right.
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    await new Promise<void>((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });
  const { port } = server.server.address() as AddressInfo;
  return {
    arrived,
    caFile,
    /** Waits until so many mails are there, and answers the last of them. */
    mail: (count = 1) =>
      new Promise<Arrived>((resolve) => {
        seen = () => {
          const mail = arrived[count - 1];
          if (mail) resolve(mail);
        };
        seen();
      }),
    settings: {
      kind: "smtp",
      host: "localhost",
      port,
      implicitTls: options?.secure === true,
      caFile,
      ...credentials,
      from: "Example <no-reply@example.com>",
    } as const,
  };
}

/** A server that takes connections and never comes to the point: says nothing, or greets and says `drip` for ever. */
export async function silentServer(drip?: string) {
  const sockets = new Set<import("node:net").Socket>();
  let called = () => {};
  const connected = new Promise<void>((resolve) => {
    called = resolve;
  });
  let left = () => {};
  const abandoned = new Promise<void>((resolve) => {
    left = resolve;
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    if (drip !== undefined) socket.write("220 localhost ESMTP\r\n");
    const dripping = drip === undefined ? undefined : setInterval(() => socket.write(drip), 20);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(dripping);
      sockets.delete(socket);
      if (sockets.size === 0) left();
    });
    socket.resume();
    called();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    connected,
    /** Once nobody is connected any more. */
    abandoned,
  };
}

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { loadConfig } from "../../../src/config/config.ts";
import { startServer } from "../../../src/server.ts";
import { type ServiceUnderTest, UNLIMITED } from "./service.ts";

/** The files of a listener, and a way to replace some of them. */
export function files(contents: Record<string, Buffer | string>) {
  const folder = mkdtempSync(join(tmpdir(), "mfa-tls-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const replace = (changed: Record<string, Buffer | string>) => {
    for (const [name, content] of Object.entries(changed)) writeFileSync(join(folder, name), content);
  };
  replace(contents);
  return { replace, path: (name: string) => join(folder, name) };
}

/** A settings file with one listener. */
export const settingsOf = (listener: object) =>
  files({ "settings.json": JSON.stringify({ listeners: { only: [{ port: 0, ...listener }] } }) }).path("settings.json");

/** The same service once more, over the same store, with one listener as configured. */
export async function beside(service: ServiceUnderTest, listener: object) {
  const log: string[] = [];
  const config = loadConfig(["--dev"], {
    MFA_CONFIG: settingsOf(listener),
    MFA_DATA_DIR: service.dataDir,
    MFA_DATABASE_URL: service.url,
  });
  const server = await startServer(
    { ...config, rates: UNLIMITED },
    {
      log: pino({}, { write: (line: string) => void log.push(line) }),
      clock: () => service.clock.now,
      store: service.store,
    },
  );
  onTestFinished(() => server.stop());
  return { port: server.listeners[0]?.port ?? 0, log };
}

/** A certificate and its key, as `tls` wants them. */
export const pair = ({ cert, key }: { cert: Buffer; key: Buffer }) => ({ "tls.crt": cert, "tls.key": key });

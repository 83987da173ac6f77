import { existsSync, mkdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import unpacker from "@sparticuz/chromium";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { portOf } from "../engine/port.ts";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Pages of hosts that are not this machine's loopback, which dev mode lets call: their names lead here all the same.
  "--host-resolver-rules=MAP *.example 127.0.0.1",
];
const SYSTEM_CHROMIUM = "/usr/bin/chromium";
const LAUNCH_MS = 15_000;

/** Runs `work` with environment variables that nobody else is to see. */
async function withEnv<T>(env: Record<string, string>, work: () => Promise<T>): Promise<T> {
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, env);
  try {
    return await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Chromium as npm ships it, unpacked into a folder with the libraries that bare images lack. */
async function launchShipped(folder: string): Promise<Browser> {
  // It unpacks below the temporary folder, and its libraries only where it believes itself to be on Lambda.
  const env = { TMPDIR: folder, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x" };
  const executablePath = await withEnv(env, () => unpacker.executablePath());
  // Its own list of fonts names folders that are not ours, and without any font a text field ends the browser.
  const fonts = join(folder, "fonts");
  const directories = [fonts, "/usr/share/fonts"].map((directory) => `<dir>${directory}</dir>`).join("");
  await writeFile(
    join(fonts, "fonts.conf"),
    `<fontconfig>${directories}<cachedir>${join(folder, "fonts-cache")}</cachedir></fontconfig>`,
  );
  const LD_LIBRARY_PATH = [join(folder, "al2023", "lib"), process.env.LD_LIBRARY_PATH ?? ""].filter(Boolean).join(":");
  return chromium.launch({
    executablePath,
    args: flags,
    timeout: LAUNCH_MS,
    env: { ...process.env, LD_LIBRARY_PATH, FONTCONFIG_PATH: fonts },
  });
}

/** A headless Chromium with a profile of its own: the one from npm or, where that does not start, the system's. */
async function startBrowser() {
  const folder = await mkdtemp(join(tmpdir(), "mfa-chromium-"));
  const clear = () => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  const browser = await launchShipped(folder)
    .catch((thrown: unknown) => {
      if (!existsSync(SYSTEM_CHROMIUM)) throw thrown;
      return chromium.launch({ executablePath: SYSTEM_CHROMIUM, args: flags, timeout: LAUNCH_MS });
    })
    .catch(async (thrown: unknown) => {
      await clear();
      throw new Error(`neither Chromium from npm nor ${SYSTEM_CHROMIUM} starts`, { cause: thrown });
    });
  return {
    browser,
    close: async () => {
      await browser.close();
      await clear();
    },
  };
}

/** Where screenshots go, for whoever wants to see; ignored by git. */
export const artefacts = join(import.meta.dirname, "../../../artefacts");

/** A browser for the tests of a file, and the script of their page, bundled from its source. */
export function browserWith(entry: string) {
  let script = "";
  let started: Awaited<ReturnType<typeof startBrowser>> | undefined;
  beforeAll(async () => {
    mkdirSync(artefacts, { recursive: true });
    const bundled = build({ entryPoints: [entry], bundle: true, write: false, format: "iife", platform: "browser" });
    const [{ outputFiles }, opened] = await Promise.all([bundled, startBrowser()]);
    script = outputFiles[0]?.text ?? "";
    started = opened;
  });
  afterAll(() => started?.close());
  return {
    get script() {
      return script;
    },
    get browser(): Browser {
      if (!started) throw new Error("no browser yet");
      return started.browser;
    },
    /** Serves a page with the script at an origin of its own, which is answered. */
    async serve(html = ""): Promise<string> {
      const server = createServer((request, response) => {
        const isScript = request.url === "/page.js";
        response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
        response.end(
          isScript ? script : `<!doctype html><meta charset="utf-8">${html}<script src="/page.js"></script>`,
        );
      });
      return `http://localhost:${await portOf(server, "localhost")}`;
    },
  };
}

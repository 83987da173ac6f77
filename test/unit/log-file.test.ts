import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { openLogFile } from "../../src/log/log-file.ts";

const soon = { timeout: 10_000, interval: 20 };

function file(path: string) {
  const fd = openSync(path, "a");
  onTestFinished(() => closeSync(fd));
  return fd;
}

function folder() {
  const path = mkdtempSync(join(tmpdir(), "mfa-log-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A file system of 64 KiB; undefined where this user may mount none. */
function smallFileSystem(): string | undefined {
  const path = folder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync("umount", ["-l", path]));
  return path;
}

const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { n?: number; lost?: number; msg: string });

test("lines are written whole and in order", async () => {
  const path = join(folder(), "log");
  const target = openLogFile(file(path));
  const log = pino({}, target);
  for (let n = 0; n < 5000; n++) log.info({ n }, "line");
  await target.flush(10_000);
  expect(linesOf(path).map(({ n }) => n)).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  expect(target.lost()).toBe(0);
});

test("lines that wait at the end of the process are written into a file", () => {
  const path = join(folder(), "log");
  const target = openLogFile(file(path));
  const log = pino({}, target);
  for (let n = 0; n < 100; n++) log.info({ n }, "line");
  target.flushAtExit();
  expect(readFileSync(path, "utf8")).toContain('"n":99');
});

test("a full file system costs lines and nothing else; they are counted, and told once there is room", async () => {
  const small = smallFileSystem();
  if (!small) {
    // Without a file system to fill, the device that is always full: the second test tells of it.
    process.stderr.write("\n*** NO FILE SYSTEM WAS FILLED: this user may not mount one ***\n");
    return;
  }
  const filler = join(small, "filler");
  writeFileSync(filler, Buffer.alloc(40 * 1024));
  const path = join(small, "log");
  const target = openLogFile(file(path), { maxBytes: 8 * 1024, pauseMs: 20 });
  const log = pino({}, target);
  for (let n = 0; n < 5000; n++) {
    log.info({ n }, "line");
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(target.lost()).toBeGreaterThan(1000);
  rmSync(filler);
  writeFileSync(path, ""); // as a rotation does
  await vi.waitFor(() => expect(readFileSync(path, "utf8")).toContain("lines of the log could not be written"), soon);
  expect(readFileSync(path, "utf8")).toMatch(/"lost":[1-9]\d+/);
  log.info({ n: 5000 }, "line");
  await vi.waitFor(() => expect(readFileSync(path, "utf8")).toContain('"n":5000'), soon);
});

test("a device that is always full takes no line, and nobody waits for it", async () => {
  const target = openLogFile(file("/dev/full"), { maxBytes: 10_000, pauseMs: 20 });
  const log = pino({}, target);
  for (let n = 0; n < 5000; n++) log.info({ n }, "line");
  await target.flush(100);
  target.flushAtExit();
  expect(target.lost()).toBeGreaterThan(4000);
});

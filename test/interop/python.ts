import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { root, run } from "./process.ts";

/** Where to look for one. */
export const pythons = ["/usr/bin/python3", "python3"];

/** The first Python that imports these modules, if any; a version manager's often has none of them. */
export async function findPython(modules: string): Promise<string | undefined> {
  for (const python of pythons) {
    const { code } = await run(python, ["-c", `import ${modules}`]).catch(() => ({ code: -1 }));
    if (code === 0) return python;
  }
  return undefined;
}

/** The contract as a descriptor set, for clients without generated code; removed after the test. */
export async function describeContract(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-descriptors-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "contract.binpb");
  const built = await run(join(root, "node_modules/.bin/buf"), ["build", "--as-file-descriptor-set", "-o", path]);
  expect(built.code, built.stderr).toBe(0);
  return path;
}

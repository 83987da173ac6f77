import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root, run } from "./process.ts";

const pythons = ["python3", "/usr/bin/python3"];

test("a verifier in python judges the vectors of assertions as ours does", async () => {
  const vectors = JSON.parse(readFileSync(join(root, "test/vectors/assertions.json"), "utf8")).vectors;
  for (const python of pythons) {
    const { code } = await run(python, ["-c", "import cryptography"]).catch(() => ({ code: -1 }));
    if (code !== 0) continue;
    const ran = await run(python, ["test/interop/assertion_vectors.py", "test/vectors/assertions.json"]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(JSON.parse(ran.stdout)).toEqual({ run: vectors.length, wrong: [] });
    return;
  }
  // Not a skip: the absence is what was looked for and found, and the log says what was not tried.
  process.stderr.write(
    `\n*** NO PYTHON JUDGED THE VECTORS: none of ${pythons.join(", ")} imports cryptography ***\n` +
      "*** On Debian: apt-get install python3-cryptography ***\n\n",
  );
});

import { existsSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./test/support/report/reporter.ts";

const globalSetup = "./test/support/engine/global-setup.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    reporters: ["default", new SummaryReporter()],
    // Real databases, real sockets and native modules: processes keep them apart.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
});

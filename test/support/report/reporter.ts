import { writeSync } from "node:fs";
import type { Reporter, TestCase, TestModule, TestRunEndReason } from "vitest/node";

/**
 * Ends a run with one plain line, `tests: N passed, N failed`, for machines that read the end of a log. It counts as
 * results arrive and writes while the process exits, so the line also closes a run that crashed or found no test.
 */
export class SummaryReporter implements Reporter {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  #ended = false;

  onInit(): void {
    process.once("exit", (code) => {
      // A crash, an unhandled error or a file that cannot be loaded is no test, yet it must not read as a success.
      if (this.#failed === 0 && (code !== 0 || !this.#ended)) this.#failed = 1;
      writeSync(1, `\n${this.#line()}\n`);
    });
  }

  onTestRunStart(): void {
    this.#passed = this.#failed = this.#skipped = 0;
    this.#ended = false;
  }

  onTestCaseResult(test: TestCase): void {
    const { state } = test.result();
    if (state === "passed") this.#passed += 1;
    else if (state === "failed") this.#failed += 1;
    else this.#skipped += 1;
  }

  onTestModuleEnd(module: TestModule): void {
    // A file or a suite whose own code or hook threw: its tests never ran.
    if (module.errors().length) this.#failed += 1;
    for (const suite of module.children.allSuites()) if (suite.errors().length) this.#failed += 1;
  }

  onTestRunEnd(_: unknown, unhandled: readonly unknown[], reason: TestRunEndReason): void {
    this.#failed += unhandled.length;
    this.#ended = reason !== "interrupted";
  }

  #line(): string {
    const skipped = this.#skipped ? `, ${this.#skipped} skipped` : "";
    return `tests: ${this.#passed} passed, ${this.#failed} failed${skipped}`;
  }
}

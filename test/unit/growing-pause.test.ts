import { expect, test } from "vitest";
import { growingPauseMs } from "../../src/core/growing-pause.ts";

test("a pause begins at a second, doubles with each failure, and stays at the longest", () => {
  expect([1, 2, 3, 11, 99, 5000].map((failures) => growingPauseMs(failures, 900_000))).toEqual([
    ...[1000, 2000, 4000, 900_000, 900_000, 900_000],
  ]);
});

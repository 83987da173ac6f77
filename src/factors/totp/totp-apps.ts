import type { CodeParameters } from "./totp-code.ts";

/** What apps do that ignore a part of the key URI: they take these instead. */
const ASSUMED: CodeParameters = { algorithm: "sha1", digits: 6, periodSeconds: 30 };

/**
 * The parameters that an app may really use: those of its key URI with any of them ignored, closest to it first. Many
 * apps read the secret from the URI and nothing else, and show wrong codes for ever without a word.
 */
export function assumableBy(parameters: CodeParameters): CodeParameters[] {
  const choices = [0, 1].flatMap((algorithm) =>
    [0, 1].flatMap((digits) =>
      [0, 1].map((period) => ({
        ignored: algorithm + digits + period,
        algorithm: (algorithm ? ASSUMED : parameters).algorithm,
        digits: (digits ? ASSUMED : parameters).digits,
        periodSeconds: (period ? ASSUMED : parameters).periodSeconds,
      })),
    ),
  );
  const shown = ({ algorithm, digits, periodSeconds }: CodeParameters) => `${algorithm}/${digits}/${periodSeconds}`;
  const different = new Map(choices.map((choice) => [shown(choice), choice]));
  different.delete(shown(parameters));
  return [...different.values()]
    .sort((a, b) => a.ignored - b.ignored)
    .map(({ ignored: _ignored, ...assumed }) => assumed);
}

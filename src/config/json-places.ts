/** Where the settings of a file stand, by their dotted path: "listeners.0.port". */
export interface JsonPlaces {
  /** Returns the line of a setting, or of the nearest one that contains it; undefined for what the file does not hold. */
  line(path: readonly PropertyKey[]): number | undefined;
  /** The paths that stand twice in one object, with the line of the second: JSON takes the last without a word. */
  readonly twice: readonly { readonly path: string; readonly line: number }[];
}

/** A text is no JSON; `message` says what is wrong at which line and column, and quotes nothing of it. */
export class NoJson extends Error {
  override readonly name = "NoJson";
  readonly line: number;
  readonly column: number;

  constructor(text: string, at: number, message: string) {
    super(message);
    const before = text.slice(0, at).split("\n");
    this.line = before.length;
    this.column = (before.at(-1)?.length ?? 0) + 1;
  }
}

const STRING = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/uy;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y;
const SPACE = /[ \t\r\n]*/y;

/** What people write who are used to other formats. */
const HABITS: readonly (readonly [RegExp, string])[] = [
  [/^(\/\/|\/\*|#)/, "JSON has no comments: take this one out"],
  [/^['‘’“”]/, 'texts and names stand in straight double quotes, "like this"'],
  [/^"/, "this text does not end, or holds a line break or a lone backslash (write \\\\)"],
  [/^[A-Za-z_$]/, 'texts and names stand in double quotes, "like this"'],
];

/** Reads a JSON text for the places of what is in it; throws NoJson. */
export function readPlaces(text: string): JsonPlaces {
  const lines = new Map<string, number>();
  const twice: { path: string; line: number }[] = [];
  let at = 0;
  const fail = (what: string): never => {
    if (text.trim() === "") throw new NoJson(text, 0, "the file is empty: without settings it is {}");
    if (at >= text.length) throw new NoJson(text, at, "the file ends too early");
    STRING.lastIndex = at;
    const habit = STRING.test(text) ? undefined : HABITS.find(([form]) => form.test(text.slice(at, at + 2)))?.[1];
    throw new NoJson(text, at, habit ?? what);
  };
  const take = (form: RegExp): string | undefined => {
    form.lastIndex = at;
    const [found] = form.exec(text) ?? [];
    at += found?.length ?? 0;
    return found;
  };
  const sign = (one: string): boolean => {
    take(SPACE);
    if (text[at] !== one) return false;
    at++;
    return true;
  };
  const note = (path: string, from: number, isName: boolean) => {
    const line = text.slice(0, from).split("\n").length;
    if (isName && lines.has(path)) twice.push({ path, line });
    lines.set(path, line);
  };
  const entries = (end: string, one: (n: number) => void) => {
    if (sign(end)) return;
    for (let n = 0; ; n++) {
      one(n);
      if (sign(end)) return;
      if (!sign(",")) fail(`a comma or ${end} is missing before this`);
      take(SPACE);
      if (text[at] === end) fail(`there is a comma too many before this ${end}`);
    }
  };
  const value = (path: readonly string[]): void => {
    take(SPACE);
    if (sign("{")) {
      entries("}", () => {
        take(SPACE);
        const from = at;
        const name = take(STRING) ?? fail('a name in double quotes is expected here, "like this"');
        const inner = [...path, JSON.parse(name) as string];
        note(inner.join("."), from, true);
        if (!sign(":")) fail("a colon is missing before this");
        value(inner);
      });
    } else if (sign("[")) {
      entries("]", (n) => {
        take(SPACE);
        note([...path, n].join("."), at, false);
        value([...path, String(n)]);
      });
    } else if (take(STRING) === undefined && take(SCALAR) === undefined) fail("a value is expected here");
  };
  value([]);
  take(SPACE);
  if (at < text.length) fail("something stands behind the end of the settings");
  const line = (path: readonly PropertyKey[]): number | undefined => {
    const found = path.map((_, n) => lines.get(path.slice(0, path.length - n).join("."))).find((one) => one);
    return found;
  };
  return { line, twice };
}

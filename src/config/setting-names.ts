import type { GenericSchema } from "valibot";
import { nearest } from "../core/nearest.ts";

/** The parts of a valibot schema that say which names an object may have. */
interface Shape {
  readonly type?: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly options?: readonly Shape[];
  readonly literal?: unknown;
}

/** A setting that no schema knows. */
export interface UnknownSetting {
  readonly path: readonly PropertyKey[];
  /** What is wrong, and the name that was probably meant. */
  readonly text: string;
}

const NO_OBJECT = 'must be an object, {"like": "this"}, not a list';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const plain = (shape: Shape | undefined): Shape | undefined => (shape?.wrapped ? plain(shape.wrapped) : shape);

/** The alternative that a value's `kind` asks for, or the one that is an object. */
function alternative({ options = [] }: Shape, value: Record<string, unknown>): Shape | undefined {
  const objects = options.map(plain).filter((one) => one?.entries !== undefined);
  const byKind = objects.find((one) => one?.entries?.kind?.literal === value.kind && value.kind !== undefined);
  return byKind ?? (objects.length === 1 ? objects[0] : undefined);
}

/** Every name in a schema, with the paths where it may stand; entries of lists are "<n>". */
function placesOf(shape: Shape | undefined, path: readonly string[] = [], found = new Map<string, Set<string>>()) {
  const here = plain(shape);
  for (const [name, inner] of Object.entries(here?.entries ?? {})) {
    const whole = [...path, name];
    found.set(name, (found.get(name) ?? new Set()).add(whole.join(".")));
    placesOf(inner, whole, found);
  }
  if (here?.item) placesOf(here.item, [...path, "<n>"], found);
  for (const one of here?.options ?? []) placesOf(one, path, found);
  return found;
}

function textOf(name: string, known: readonly string[], elsewhere: ReadonlySet<string> | undefined): string {
  const meant = nearest(name, known);
  if (meant) return `unknown setting: did you mean "${meant}"?`;
  if (elsewhere?.size === 1) return `unknown setting here: it belongs at ${[...elsewhere].join()}`;
  return `unknown setting: here may stand ${known.join(", ")}`;
}

/** Returns every setting of a file that its schema does not know. */
export function unknownSettings(schema: GenericSchema, settings: unknown): UnknownSetting[] {
  const places = placesOf(schema as Shape);
  const faults: UnknownSetting[] = [];
  const look = (shape: Shape | undefined, value: unknown, path: readonly PropertyKey[]): void => {
    const here = plain(shape);
    if (Array.isArray(value)) for (const [n, one] of value.entries()) look(here?.item, one, [...path, n]);
    // valibot takes a list for an object without names.
    if (here?.entries && Array.isArray(value)) faults.push({ path, text: NO_OBJECT });
    if (!here || !isObject(value)) return;
    if (here.options) look(alternative(here, value), value, path);
    if (!here.entries) return;
    const known = Object.keys(here.entries);
    for (const [name, inner] of Object.entries(value)) {
      if (known.includes(name)) look(here.entries[name], inner, [...path, name]);
      else faults.push({ path: [...path, name], text: textOf(name, known, places.get(name)) });
    }
  };
  look(schema as Shape, settings, []);
  return faults;
}

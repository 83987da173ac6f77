import { settingsSchema } from "../../config/settings-file.ts";

/** The parts of a valibot schema that say what a setting takes. */
interface Shape {
  readonly type?: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly options?: readonly (Shape | string)[];
  readonly default?: unknown;
  readonly literal?: unknown;
}

const plain = (shape: Shape | undefined): Shape | undefined => (shape?.wrapped ? plain(shape.wrapped) : shape);

const shapesOf = ({ options = [] }: Shape) => options.filter((one) => typeof one !== "string");

function innerOf(shape: Shape | undefined, name: string): Shape | undefined {
  const here = plain(shape);
  if (!here) return undefined;
  if (here.item) return innerOf(here.item, name);
  return (
    here.entries?.[name] ??
    shapesOf(here)
      .map((one) => innerOf(one, name))
      .find((one) => one !== undefined)
  );
}

function typeOf(shape: Shape | undefined): string {
  const here = plain(shape);
  if (here?.type === "picklist") return `one of ${(here.options ?? []).map((one) => `"${String(one)}"`).join(", ")}`;
  if (here?.type === "array") return `a list of ${typeOf(here.item)}`;
  const words: Readonly<Record<string, string>> = { string: "a text", number: "a number", boolean: "true or false" };
  const names = Object.keys(here?.entries ?? {});
  if (names.length > 0) return `an object with ${names.join(", ")}`;
  const kinds = shapesOf(here ?? {}).flatMap(({ entries }) => entries?.kind?.literal ?? []);
  if (kinds.length > 0) return `an object of a kind: ${kinds.join(", ")}`;
  return words[here?.type ?? ""] ?? "a value of its own form";
}

/** Says what a setting takes and what it is without one: "rates.user". Undefined for what is no setting. */
export function explainSetting(name: string): string | undefined {
  const parts = name.split(".").filter((part) => !/^\d+$|^<n>$/.test(part));
  let shape: Shape | undefined = settingsSchema as Shape;
  for (const part of parts) shape = innerOf(shape, part);
  if (!shape || parts.length === 0) return undefined;
  const standard =
    shape.default === undefined || typeof shape.default === "function"
      ? ""
      : `; default ${JSON.stringify(shape.default)}`;
  return `${typeOf(shape)}${standard}`;
}

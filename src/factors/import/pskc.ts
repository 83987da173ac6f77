import { SaxesParser, type SaxesTagNS } from "saxes";
import { inPieces } from "../../core/turns.ts";
import { type Found, type KeyPackage, readKeyPackage } from "./pskc-key.ts";
import { type Read, unread } from "./read.ts";

const NAMESPACE = "urn:ietf:params:xml:ns:keyprov:pskc";
const PACKAGE = "KeyContainer/KeyPackage";
/** A key package is seven elements deep. */
const DEEPEST = 24;

/** Thrown where a document is to be read no further. */
class Unreadable extends Error {}

/** The attributes of an element, but for declarations of namespaces; those of another namespace keep their prefix. */
const attributesOf = ({ attributes }: SaxesTagNS) =>
  Object.fromEntries(
    Object.values(attributes)
      .filter(({ name, prefix }) => name !== "xmlns" && prefix !== "xmlns")
      .map(({ name, local, uri, value }) => [uri === NAMESPACE ? local : name, value]),
  );

/** Collects the key packages of a document while it is parsed. What is of another namespace is passed over, with all in it. */
function collecting(most: number) {
  const parser = new SaxesParser({ xmlns: true, position: true });
  const packages: KeyPackage[] = [];
  const path: string[] = [];
  const open: (Found | undefined)[] = [];
  let elements = new Map<string, Found[]>();
  const within = () => path.slice(2).join("/");
  const isInPackage = () => path.length > 2 && path.slice(0, 2).join("/") === PACKAGE;

  parser.on("error", ({ message }) => {
    // The parser would go on. Its message quotes the document, where it may have a secret.
    throw new Unreadable(`not well-formed XML (line ${/^(\d+):/.exec(message)?.[1] ?? "?"})`);
  });
  parser.on("doctype", () => {
    throw new Unreadable("a document type declaration");
  });
  parser.on("xmldecl", ({ encoding = "UTF-8" }) => {
    if (!/^(utf-8|us-ascii)$/i.test(encoding)) throw new Unreadable("another encoding than UTF-8");
  });
  parser.on("opentag", (tag) => {
    path.push(tag.uri === NAMESPACE ? tag.local : `{${tag.uri === "" ? "no namespace" : "other"}}`);
    if (path.length > DEEPEST) throw new Unreadable("elements that are too deep");
    const isPackage = path.length === 2 && path.join("/") === PACKAGE;
    if (isPackage) elements = new Map();
    if (isPackage) packages.push({ line: parser.line, elements });
    if (packages.length > most) throw new Unreadable("too many key packages");
    const found = isInPackage() ? { attributes: attributesOf(tag), text: "" } : undefined;
    open.push(found);
    if (!found) return;
    const alike = elements.get(within());
    if (alike) alike.push(found);
    else elements.set(within(), [found]);
  });
  const text = (more: string) => {
    const found = open.at(-1);
    if (found) found.text += more;
  };
  parser.on("text", text);
  parser.on("cdata", text);
  parser.on("closetag", () => {
    path.pop();
    open.pop();
  });
  return { parser, packages };
}

/** Reads a PSKC container (RFC 6030). One that is not well-formed is refused as a whole. */
export async function readPskc(document: string, most: number, now: Date): Promise<Read[]> {
  const { parser, packages } = collecting(most);
  try {
    for await (const piece of inPieces(document)) parser.write(piece);
    parser.close();
  } catch (thrown) {
    if (!(thrown instanceof Unreadable)) throw thrown;
    return [unread(parser.line, "document", thrown.message)];
  }
  if (packages.length === 0) return [unread(1, "document", `no key package of ${NAMESPACE}`)];
  return packages.map((found) => readKeyPackage(found, now));
}

import { type DescExtension, type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** A file and everything it imports, dependencies included, each once. */
function closure(files: Iterable<DescFile>): Set<DescFile> {
  const found = new Set<DescFile>();
  const add = (file: DescFile) => {
    if (found.has(file)) return;
    found.add(file);
    file.dependencies.forEach(add);
  };
  for (const file of files) add(file);
  return found;
}

/** Every descriptor reachable from some services and further files, findable by file name, by symbol and by extension number. */
export class DescriptorIndex {
  readonly services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[], files: readonly DescFile[] = []) {
    this.services = services.map((service) => service.typeName).sort();
    for (const file of closure([...services.map((service) => service.file), ...files])) this.#addFile(file);
  }

  byName(name: string): DescFile | undefined {
    return this.#files.get(name);
  }

  bySymbol(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol.replace(/^\./, ""));
  }

  byExtension(extendee: string, number: number): DescFile | undefined {
    return this.#extensions.get(extendee)?.get(number);
  }

  /** The field numbers under which a message type is extended; undefined for an unknown type. */
  extensionNumbers(extendee: string): number[] | undefined {
    if (!this.#symbols.has(extendee)) return undefined;
    return [...(this.#extensions.get(extendee)?.keys() ?? [])];
  }

  /** A file and its dependencies, serialised, without those in `sent`, to which they are added. */
  serialised(file: DescFile, sent: Set<string>): Uint8Array[] {
    const fresh = [...closure([file])].filter((f) => f === file || !sent.has(f.proto.name));
    for (const f of fresh) sent.add(f.proto.name);
    return fresh.map((f) => toBinary(FileDescriptorProtoSchema, f.proto));
  }

  #addFile(file: DescFile): void {
    const qualify = (name: string) => (file.proto.package ? `${file.proto.package}.${name}` : name);
    this.#files.set(file.proto.name, file);
    for (const message of file.messages) this.#addMessage(message);
    for (const extension of file.extensions) this.#addExtension(extension);
    for (const { typeName, values } of file.enums) {
      this.#symbols.set(typeName, file);
      for (const value of values) this.#symbols.set(qualify(value.name), file);
    }
    for (const { typeName, methods } of file.services) {
      this.#symbols.set(typeName, file);
      for (const method of methods) this.#symbols.set(`${typeName}.${method.name}`, file);
    }
  }

  #addMessage(message: DescMessage): void {
    this.#symbols.set(message.typeName, message.file);
    for (const { name } of [...message.fields, ...message.oneofs]) {
      this.#symbols.set(`${message.typeName}.${name}`, message.file);
    }
    for (const { typeName } of message.nestedEnums) this.#symbols.set(typeName, message.file);
    for (const extension of message.nestedExtensions) this.#addExtension(extension);
    for (const nested of message.nestedMessages) this.#addMessage(nested);
  }

  #addExtension(extension: DescExtension): void {
    const extendee = extension.extendee.typeName;
    const numbers = this.#extensions.get(extendee) ?? new Map<number, DescFile>();
    this.#extensions.set(extendee, numbers.set(extension.number, extension.file));
    this.#symbols.set(extension.typeName, extension.file);
  }
}

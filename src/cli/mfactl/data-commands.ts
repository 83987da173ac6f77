import { readFile, writeFile } from "node:fs/promises";
import { create, toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { ExportAuditResponse } from "../../../gen/mfa/v1/audit_pb.js";
import {
  ImportFactorsRequestSchema,
  type ImportFactorsResponse,
  ImportFactorsResponseSchema,
  ImportFormat,
  ImportStatus,
} from "../../../gen/mfa/v1/import_pb.js";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { type Calls, connected } from "./connection.ts";
import { EXIT, type Io, usage } from "./io.ts";
import { printReply, tableOf } from "./print.ts";
import type { Globals } from "./verbs.ts";

const FORMATS: Readonly<Record<string, ImportFormat>> = {
  uris: ImportFormat.OTPAUTH_URIS,
  migration: ImportFormat.OTPAUTH_MIGRATION,
  csv: ImportFormat.OATH_CSV,
  pskc: ImportFormat.PSKC,
};

/** What one call takes of a document: entries, and bytes with room to spare. */
const LINES = 250;
const BYTES = 44_000;

/** A part of a document, and the line of the whole that its first entry is on. */
interface Part {
  readonly text: string;
  readonly firstLine: number;
  /** Lines that are repeated from the head of the document. */
  readonly repeated: number;
}

/** Cuts a document of lines into parts that a call takes; the first row of a CSV that names columns goes with each. */
export function partsOf(text: string, format: string): Part[] {
  if (format === "pskc" || format === "migration") return [{ text, firstLine: 1, repeated: 0 }];
  const lines = text.split("\n");
  const head = format === "csv" && /[a-z_]{4,}.*,/i.test(lines[0] ?? "") && /user|serial|secret/i.test(lines[0] ?? "");
  const header = head ? [lines[0] ?? ""] : [];
  const parts: Part[] = [];
  let [current, firstLine, size]: [string[], number, number] = [[], header.length + 1, 0];
  const close = (next: number) => {
    if (current.some((line) => line.trim() !== "")) {
      parts.push({ text: [...header, ...current].join("\n"), firstLine, repeated: header.length });
    }
    [current, firstLine, size] = [[], next, 0];
  };
  for (let n = header.length; n < lines.length; n++) {
    const line = lines[n] ?? "";
    const bytes = Buffer.byteLength(line) + 1;
    if (current.length >= LINES || size + bytes > BYTES) close(n + 1);
    current.push(line);
    size += bytes;
  }
  close(lines.length + 1);
  return parts;
}

async function importPart(calls: Calls, part: Part, { format, commit }: { format: string; commit: boolean }) {
  const document = { format: FORMATS[format] ?? 0, content: Buffer.from(part.text) };
  const request = create(ImportFactorsRequestSchema, { source: { case: "document", value: document }, commit });
  const reply = await calls.unary(InternalMfaService.method.importFactors, request);
  return reply as ImportFactorsResponse; // the RPC's own reply
}

/** `import`: a document of any length, in calls of 250. */
export function importCommand(io: Io): Command {
  return new Command("import")
    .argument("<file>", "the document; - reads standard input")
    .requiredOption("--format <name>", "uris, migration, csv or pskc")
    .option("--commit", "import; without it, only say what would become of each")
    .option("--json", "print JSON")
    .description("imports authenticator apps from another system's export, 250 a call")
    .action(async (file: string, { format, commit = false, json }, command: Command) => {
      if (!FORMATS[format]) throw usage(`--format: "${format}" is none of ${Object.keys(FORMATS).join(", ")}`);
      const text = file === "-" ? await io.stdin() : await readFile(file, "utf8").catch(() => undefined);
      if (text === undefined) throw usage(`${file} cannot be read`);
      const parts = partsOf(text, format);
      const [counts, refused] = [{ imported: 0, skipped: 0, refused: 0 }, [] as string[][]];
      await connected(io, command.optsWithGlobals<Globals>().context, async (calls) => {
        for (const [n, part] of parts.entries()) {
          const reply = await importPart(calls, part, { format, commit });
          counts.imported += reply.importedCount;
          counts.skipped += reply.skippedCount;
          counts.refused += reply.refusedCount;
          for (const { status, line, userId, error } of reply.results) {
            if (status !== ImportStatus.REFUSED) continue;
            const whole = line > part.repeated ? line - part.repeated + part.firstLine - 1 : line;
            refused.push([String(whole), userId, error]);
          }
          if (json) io.out(`${JSON.stringify(toJson(ImportFactorsResponseSchema, reply))}\n`);
          if (io.isTty) io.err(`\r${n + 1} of ${parts.length} calls`);
        }
      });
      if (io.isTty) io.err("\n");
      if (!json) {
        const did = commit ? "imported" : "would be imported (dry run; --commit imports)";
        io.out(`${counts.imported} ${did}, ${counts.skipped} skipped, ${counts.refused} refused.\n`);
        if (refused.length > 0) io.out(tableOf(["line", "user", "why"], refused));
      }
      if (counts.refused > 0) command.setOptionValue("exit", EXIT.partly);
    });
}

/** `export`: everything that is held of a user. */
export function exportCommand(io: Io): Command {
  const { exportUser } = AdminMfaService.method;
  return new Command("export")
    .argument("<user>", "the user")
    .requiredOption("--reason <text>", "why; stands in the audit trail")
    .option("--to <file>", "a file of your own; default: standard output")
    .description("writes what is held of a user as JSON, without secrets")
    .action(async (userId: string, { reason, to }: { reason: string; to?: string }, command: Command) => {
      const globals = command.optsWithGlobals<Globals>();
      await connected(io, globals.context, async (calls) => {
        const reply = await calls.unary(exportUser, create(exportUser.input, { userId, reason }));
        const text = `${JSON.stringify(toJson(exportUser.output, reply as never), null, 2)}\n`;
        if (to === undefined) io.out(text);
        else await writeFile(to, text, { mode: 0o600, flag: "wx" });
      });
    });
}

async function exportAudit(calls: Calls, afterSequence: bigint, write: (lines: string) => Promise<void> | void) {
  const { exportAudit: method } = AdminMfaService.method;
  let count = 0;
  for await (const part of calls.stream(method, create(method.input, { afterSequence }))) {
    const lines = Buffer.from((part as ExportAuditResponse).jsonLines).toString();
    count += lines.split("\n").filter((line) => line !== "").length;
    await write(lines);
  }
  return count;
}

/** `audit tail|verify|export`. */
export function auditCommand(io: Io): Command {
  const group = new Command("audit").description("the audit trail");
  const { verifyAuditChain, listConfigAuditLogs } = AdminMfaService.method;
  group
    .command("tail")
    .option("--user <id>", "only entries about this user")
    .option("-n <count>", "how many", "20")
    .option("--json [request]", "print JSON")
    .description("shows the latest entries")
    .action(async ({ user, n, json }, command: Command) => {
      const filter = user ? { filter: { userId: user } } : {};
      await connected(io, command.optsWithGlobals<Globals>().context, async (calls) => {
        const request = create(listConfigAuditLogs.input, { pageSize: Number(n), ...filter });
        printReply(listConfigAuditLogs.output, await calls.unary(listConfigAuditLogs, request), json !== undefined, io);
      });
    });
  group
    .command("verify")
    .option("--checkpoint <token>", "a checkpoint that was kept elsewhere")
    .description("checks that no entry was altered, moved or taken out")
    .action(async ({ checkpoint = "" }, command: Command) => {
      await connected(io, command.optsWithGlobals<Globals>().context, async (calls) => {
        const found = await calls.unary(verifyAuditChain, create(verifyAuditChain.input, { checkpoint }));
        printReply(verifyAuditChain.output, found, false, io);
        if (!("intact" in found) || found.intact !== true) command.setOptionValue("exit", EXIT.refused);
      });
    });
  group
    .command("export")
    .argument("<file>", "where the entries go, one JSON object a line; - is standard output")
    .option("--after <sequence>", "go on after this entry", "0")
    .description("writes the trail whole, oldest first")
    .action(async (file: string, { after }, command: Command) => {
      await connected(io, command.optsWithGlobals<Globals>().context, async (calls) => {
        const toFile = (text: string) => writeFile(file, text, { mode: 0o600, flag: "a" });
        const count = await exportAudit(calls, BigInt(after), file === "-" ? io.out : toFile);
        if (file !== "-") io.out(`${count} entries in ${file}.\n`);
      });
    });
  return group;
}

import { create } from "@bufbuild/protobuf";
import { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import {
  ImportedTotpSchema,
  type ImportFactorsRequest,
  ImportFormat,
  ImportStatus,
} from "../../../gen/mfa/v1/import_pb.js";
import type { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { TotpAlgorithm } from "../../../gen/mfa/v1/totp_pb.js";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import { createTurns } from "../../core/turns.ts";
import { MOST_APPS, readDocument, type readers } from "./documents.ts";
import { countOf, type createImport, type Imported, type Item } from "./import.ts";
import type { Read } from "./read.ts";
import { itemOf } from "./written-out.ts";

/** Rules are checked of so many factors before others have their turn. */
const AT_ONCE = 8;

function ofRead(read: Read): Item {
  const { line, userId } = read;
  if ("reason" in read) {
    const error = `line ${line}${read.field && `, ${read.field}`}: ${read.reason}`;
    return { ...{ userId, displayName: "", unverified: false, kind: undefined, line }, error, field: read.field };
  }
  const { displayName, secret, algorithm, digits, periodSeconds } = read;
  const period = { seconds: BigInt(periodSeconds), nanos: 0 };
  const value = create(ImportedTotpSchema, { secret, algorithm: TotpAlgorithm[algorithm], digits, period });
  const item = { userId, displayName, unverified: false, error: "", line, field: "" };
  return { ...item, kind: { case: "totp", value } };
}

async function itemsOf({ source }: ImportFactorsRequest, now: Date): Promise<Item[]> {
  if (source.case === "document") {
    const { format, content } = source.value;
    const form = ImportFormat[format] as keyof typeof readers; // validation lets defined values pass only, and not 0
    return (await readDocument(form, content, now)).map(ofRead);
  }
  const items: Item[] = [];
  const turn = createTurns(AT_ONCE);
  for (const factor of source.value?.factors ?? []) {
    items.push(itemOf(factor));
    await turn();
  }
  return items;
}

const toResult = ({ userId, type, status, error, factorId, line, field }: Imported, index: number) => ({
  ...{ index, userId, error, factorId, line, field },
  factorType: type ? FactorType[type] : FactorType.UNSPECIFIED,
  status: ImportStatus[status],
});

/** What backends bring from other systems. */
export function createImportHandlers(importAll: ReturnType<typeof createImport>) {
  const internal = {
    importFactors: async (request, call) => {
      const items = await itemsOf(request, call.now);
      if (items.length > MOST_APPS) return new Refusal("INVALID_FIELD", { metadata: { field: "document" } });
      const results = await importAll(call, items, request);
      const importedCount = countOf(results, "IMPORTED", "REPLACED");
      return {
        committed: request.commit && importedCount > 0,
        importedCount,
        skippedCount: countOf(results, "SKIPPED"),
        refusedCount: countOf(results, "REFUSED"),
        results: results.map(toResult),
      };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}

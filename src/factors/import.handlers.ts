import { create } from "@bufbuild/protobuf";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import {
  type ImportedFactor,
  ImportedTotpSchema,
  type ImportFactorsRequest,
  ImportFormat,
  ImportStatus,
} from "../../gen/mfa/v1/import_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { Refusal } from "../core/refusal.ts";
import type { Handlers } from "../rpc/service.ts";
import { countOf, type createImport, type Imported, type Item } from "./import.ts";
import { type Read, readers } from "./import-documents.ts";

/** More than written out factors may be: apps are the cheapest to import. */
const MAX_ITEMS = 250;

const ofFactor = ({ userId, displayName, unverified, kind }: ImportedFactor): Item => ({
  ...{ userId, displayName, unverified, error: "" },
  kind: kind.case === undefined ? undefined : kind,
});

function ofRead(read: Read): Item {
  if ("error" in read) return { ...read, displayName: "", unverified: false, kind: undefined };
  const { userId, displayName, secret, algorithm, digits, periodSeconds } = read;
  const period = { seconds: BigInt(periodSeconds), nanos: 0 };
  const value = create(ImportedTotpSchema, { secret, algorithm: TotpAlgorithm[algorithm], digits, period });
  return { userId, displayName, unverified: false, kind: { case: "totp", value }, error: "" };
}

function itemsOf({ source }: ImportFactorsRequest): Item[] {
  if (source.case === "factors") return source.value.factors.map(ofFactor);
  if (source.case !== "document") return [];
  const { format, content } = source.value;
  const read = readers[ImportFormat[format] as keyof typeof readers]; // validation lets defined values pass only, and not 0
  return read(Buffer.from(content).toString("utf8")).map(ofRead);
}

const toResult = ({ userId, type, status, error, factorId }: Imported, index: number) => ({
  ...{ index, userId, error, factorId },
  factorType: type ? FactorType[type] : FactorType.UNSPECIFIED,
  status: ImportStatus[status],
});

/** What backends bring from other systems. */
export function createImportHandlers(importAll: ReturnType<typeof createImport>) {
  const internal = {
    importFactors: async (request, call) => {
      const items = itemsOf(request);
      if (items.length > MAX_ITEMS) return new Refusal("INVALID_FIELD", { metadata: { field: "document" } });
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

import { type ImportFormat, ImportStatus } from "../../../gen/mfa/v1/import_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";

/** The token of a backend that may import. */
export const importer = (service: ServiceUnderTest) => service.backend("mfa.import");

/** Imports factors that are written out. */
export const bring = async (service: ServiceUnderTest, factors: object[], how: object = { commit: true }) =>
  service.internal.importFactors({ source: { case: "factors", value: { factors } }, ...how }, await importer(service));

/** Imports a document. */
export const read = async (
  service: ServiceUnderTest,
  format: ImportFormat,
  content: string | Uint8Array,
  how: object = { commit: true },
) => {
  const value = { format, content: Buffer.from(content) };
  return service.internal.importFactors({ source: { case: "document", value }, ...how }, await importer(service));
};

/** What became of each factor, with the error of what was refused: "IMPORTED", "REFUSED: not a TOTP". */
export const statuses = ({ results }: { results: { status: ImportStatus; error: string }[] }) =>
  results.map(({ status, error }) => `${ImportStatus[status]}${error && `: ${error}`}`);

/** Proves a user by a code of an authenticator app. */
export const verify = async (service: ServiceUnderTest, userId: string, code: string) =>
  service.internal.verifyUserTotpCode({ userId, code }, await service.backend("mfa.verify"));

import { pathToString } from "@bufbuild/protobuf/reflect";
import { type ImportedFactor, ImportedFactorSchema, type ImportedTotp } from "../../../gen/mfa/v1/import_pb.js";
import { violationsOf } from "../../core/rules.ts";
import type { Item } from "./import.ts";
import { judged, mistakenFor, readBase32, readSecret } from "./secret.ts";

/** The bytes of an app's secret, which is given in one of three forms; the field and the reason, where it cannot be read. */
function secretOf({ secret, secretBase32, secretHex }: ImportedTotp): Uint8Array | { field: string; reason: string } {
  const given = [secret.length > 0, secretBase32 !== "", secretHex !== ""].filter(Boolean).length;
  const forms = "one of secret, secret_base32 and secret_hex is needed";
  if (given !== 1) return { field: "totp.secret", reason: `${forms}, and there are ${given}` };
  const read = (field: string, found: Uint8Array | string) =>
    typeof found === "string" ? { field: `totp.${field}`, reason: found } : found;
  if (secretBase32 !== "") return read("secret_base32", readBase32(secretBase32));
  if (secretHex !== "") return read("secret_hex", readSecret(secretHex, "hex"));
  const form = mistakenFor(secret);
  if (!form) return read("secret", judged(secret));
  const told = `a text in ${form} was taken for the bytes: give it as secret_${form}, or the bytes meant as secret_hex`;
  return { field: "totp.secret", reason: `looks as if ${told}` };
}

/** A factor that is written out, held to the rules of the contract by itself, so that one that breaks them is one that is refused. */
export function itemOf(factor: ImportedFactor): Item {
  const { userId, displayName, unverified, kind } = factor;
  const refused = (field: string, reason: string): Item => {
    const known = field === "user_id" ? "" : userId;
    const error = field === "" ? reason : `${field}: ${reason}`;
    return { ...{ userId: known, displayName: "", unverified, kind: undefined, line: 0 }, error, field };
  };
  const [broken] = violationsOf(ImportedFactorSchema, factor);
  if (broken) return refused(pathToString(broken.field), broken.message);
  if (kind.case === undefined) return refused("kind", "is missing");
  const item = { ...{ userId, displayName, unverified, line: 0, error: "", field: "" }, kind };
  if (kind.case !== "totp") return item;
  const secret = secretOf(kind.value);
  if (!(secret instanceof Uint8Array)) return refused(secret.field, secret.reason);
  return { ...item, kind: { case: "totp", value: { ...kind.value, secret } } };
}

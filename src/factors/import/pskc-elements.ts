/** The elements of a key package (RFC 6030 §4), by the paths of those that have them. What codes depend on stands among them. */
const ELEMENTS: Readonly<Record<string, readonly string[]>> = {
  "": ["DeviceInfo", "CryptoModuleInfo", "Key", "Extensions"],
  DeviceInfo: [
    ...[
      "Manufacturer",
      "SerialNo",
      "Model",
      "IssueNo",
      "DeviceBinding",
      "StartDate",
      "ExpiryDate",
      "UserId",
      "Extensions",
    ],
  ],
  CryptoModuleInfo: ["Id", "Extensions"],
  Key: [
    ...["Issuer", "AlgorithmParameters", "KeyProfileId", "KeyReference", "FriendlyName", "Data", "UserId", "Policy"],
    "Extensions",
  ],
  "Key/AlgorithmParameters": ["Suite", "ChallengeFormat", "ResponseFormat", "Extensions"],
  "Key/Data": ["Secret", "Counter", "Time", "TimeInterval", "TimeDrift", "Extensions"],
};
/** The elements of each value of a key. */
const VALUES: readonly string[] = ["PlainValue", "EncryptedValue", "ValueMAC"];
/** The attributes of the form of codes, `ResponseFormat`. */
export const FORMAT_ATTRIBUTES: readonly string[] = ["Length", "Encoding", "CheckDigits"];

const isSetApart = (path: string) => /(^|\/)(Extensions|\{other\})(\/|$)/.test(path);

/** Whether an element stands where the format has it; those of policies, of extensions and of other namespaces are judged elsewhere. */
export function isKnown(path: string): boolean {
  if (isSetApart(path)) return true;
  const at = path.lastIndexOf("/");
  const [parent, name] = [path.slice(0, Math.max(at, 0)), path.slice(at + 1)];
  const known =
    ELEMENTS[parent] ?? (parent.startsWith("Key/Data/") && parent.split("/").length === 3 ? VALUES : undefined);
  return known === undefined || known.includes(name) || name === "{other}";
}

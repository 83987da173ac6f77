import { FORMAT_ATTRIBUTES, isKnown } from "./pskc-elements.ts";
import { held, type Read, unread } from "./read.ts";
import { mistakenFor, readSecret } from "./secret.ts";

/** An element of a key package. */
export interface Found {
  readonly attributes: Readonly<Record<string, string>>;
  text: string;
}

/** A key package: its elements by their paths in it, "Key/Data/Secret/PlainValue". */
export interface KeyPackage {
  readonly line: number;
  readonly elements: ReadonlyMap<string, readonly Found[]>;
}

/** The profile of time-based keys, and its name in drafts that tokens were delivered with. */
const TOTP: readonly string[] = ["urn:ietf:params:xml:ns:keyprov:pskc:totp", "http://www.ietf.org/keyprov/pskc#totp"];
/** Beyond what is found out by itself. */
const MOST_DRIFT = 1;

/** A rule on a package: the field and the reason, where it is broken. */
type Rule = (of: Of, now: Date) => readonly [field: string, reason: string] | undefined;

/** Asks for the one element of a path. */
interface Of {
  text(path: string): string;
  attribute(path: string, name: string): string;
  /** The names of its attributes. */
  attributes(path: string): readonly string[];
  /** The paths below one; below an empty one all. */
  below(path: string): readonly string[];
}

/** What the policy of a key may say: RFC 6030 §5 has what is not understood of it forbid the use. */
const POLICY: Readonly<Record<string, Rule>> = {
  StartDate: (of, now) =>
    Date.parse(of.text("Key/Policy/StartDate")) <= now.getTime()
      ? undefined
      : ["Policy/StartDate", "the key is not to be used yet"],
  ExpiryDate: (of, now) => {
    const end = Date.parse(of.text("Key/Policy/ExpiryDate"));
    if (!(end > now.getTime())) return ["Policy/ExpiryDate", "the key has expired"];
    return ["Policy/ExpiryDate", "an end that cannot be kept: take it out to import the key without one"];
  },
  KeyUsage: (of) =>
    of.text("Key/Policy/KeyUsage") === "OTP" ? undefined : ["Policy/KeyUsage", "not for one-time passwords"],
  PINPolicy: (of) =>
    of.attribute("Key/Policy/PINPolicy", "PINUsageMode") === "Local"
      ? undefined
      : ["Policy/PINPolicy", "a PIN that cannot be asked for"],
};

const policy: Rule = (of, now) => {
  for (const path of of.below("Key/Policy")) {
    const name = path.slice("Key/Policy/".length);
    const rule = POLICY[name];
    const broken = rule ? rule(of, now) : (["Policy", "a policy that is not understood"] as const);
    if (broken) return broken;
  }
  return undefined;
};

const RULES: readonly Rule[] = [
  (of) => {
    const odd = of.below("").find((path) => !isKnown(path));
    return odd === undefined ? undefined : [odd, "is no element of a key package there"];
  },
  (of) => {
    const path = of.below("Key/Data").find((one) => one.endsWith("/EncryptedValue"));
    const [, , name = ""] = path?.split("/") ?? [];
    return path === undefined
      ? undefined
      : name === "Secret"
        ? ["secret", "an encrypted key"]
        : [name, "an encrypted value"];
  },
  (of) => {
    const odd = of
      .attributes("Key/AlgorithmParameters/ResponseFormat")
      .find((name) => !FORMAT_ATTRIBUTES.includes(name));
    return odd === undefined ? undefined : [`ResponseFormat/${odd}`, "is no attribute of it"];
  },
  policy,
  (of, now) => {
    const start = of.text("DeviceInfo/StartDate");
    return start === "" || Date.parse(start) <= now.getTime()
      ? undefined
      : ["DeviceInfo/StartDate", "the device is not to be used yet"];
  },
  (of, now) => {
    const end = of.text("DeviceInfo/ExpiryDate");
    return end === "" || Date.parse(end) > now.getTime()
      ? undefined
      : ["DeviceInfo/ExpiryDate", "the device has expired"];
  },
  (of) => {
    const encoding = of.attribute("Key/AlgorithmParameters/ResponseFormat", "Encoding");
    return ["", "DECIMAL"].includes(encoding) ? undefined : ["ResponseFormat/Encoding", "not decimal"];
  },
  (of) => {
    const checks = of.attribute("Key/AlgorithmParameters/ResponseFormat", "CheckDigits");
    return ["", "false", "0"].includes(checks)
      ? undefined
      : ["ResponseFormat/CheckDigits", "check digits are not supported"];
  },
  (of) => {
    const drift = of.text("Key/Data/TimeDrift/PlainValue") || "0";
    return Math.abs(Number(drift)) <= MOST_DRIFT
      ? undefined
      : ["TimeDrift", "a clock that is off by more than a step: set it right first"];
  },
  (of) => {
    const [owner, user] = [of.text("DeviceInfo/UserId"), of.text("Key/UserId")];
    return owner === "" || user === "" || owner === user
      ? undefined
      : ["user_id", "the device has another user than the key"];
  },
];

/** Elements that are there once, or not at all. */
const isRepeatable = (path: string) =>
  path.includes("Extensions") || path.includes("{") || path.endsWith("FriendlyName");

/** A secret in base64; that it looks like hexadecimal or base32 says that it is not. */
function plainSecret(text: string): Uint8Array | string {
  const bytes = readSecret(text, "base64");
  const form = typeof bytes === "string" ? undefined : mistakenFor(bytes);
  return form ? `looks like ${form}, and is base64 here` : bytes;
}

/** Reads one key package. */
export function readKeyPackage({ line, elements }: KeyPackage, now: Date): Read {
  const twice = [...elements].find(([path, found]) => found.length > 1 && !isRepeatable(path))?.[0];
  const of: Of = {
    text: (path) => elements.get(path)?.[0]?.text.trim() ?? "",
    attribute: (path, name) => elements.get(path)?.[0]?.attributes[name]?.trim() ?? "",
    attributes: (path) => Object.keys(elements.get(path)?.[0]?.attributes ?? {}),
    below: (path) => [...elements.keys()].filter((key) => path === "" || key.startsWith(`${path}/`)),
  };
  const userId = of.text("Key/UserId") || of.text("DeviceInfo/UserId");
  const known = userId.includes("\ufffd") ? "" : userId;
  if (twice) return unread(line, twice, "is there more than once", known);
  for (const rule of RULES) {
    const [field, reason] = rule(of, now) ?? [];
    if (field !== undefined) return unread(line, field, reason ?? "", known);
  }
  return held({
    ...{ line, userId, displayName: of.text("DeviceInfo/SerialNo") },
    type: TOTP.includes(of.attribute("Key", "Algorithm")) ? "totp" : of.attribute("Key", "Algorithm") || "another",
    secret: plainSecret(of.text("Key/Data/Secret/PlainValue")),
    algorithm: of.text("Key/AlgorithmParameters/Suite"),
    digits: of.attribute("Key/AlgorithmParameters/ResponseFormat", "Length"),
    period: of.text("Key/Data/TimeInterval/PlainValue"),
    asksForHash: true,
  });
}

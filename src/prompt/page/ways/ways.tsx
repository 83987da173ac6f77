import type { ComponentChild } from "preact";
import { en } from "../words/en.ts";
import { Passkey, Phone } from "./asked-device.tsx";
import { CodeForm } from "./code-form.tsx";
import { SentCode } from "./sent-code.tsx";
import type { WayProps } from "./way.ts";

/** How each kind of factor is asked for, by its name in the contract. */
const ways: Readonly<Record<string, (props: WayProps) => ComponentChild>> = {
  FACTOR_TYPE_WEBAUTHN: Passkey,
  FACTOR_TYPE_PUSH: Phone,
  FACTOR_TYPE_TOTP: (props) => <CodeForm {...props} kind="totpCode" hint={props.language.words.typeAppCode} isNumber />,
  FACTOR_TYPE_SMS: (props) => <SentCode {...props} kind="smsCode" />,
  FACTOR_TYPE_EMAIL: (props) => <SentCode {...props} kind="emailCode" />,
  FACTOR_TYPE_BACKUP_CODE: (props) => (
    <CodeForm {...props} kind="backupCode" hint={props.language.words.typeBackupCode} isNumber={false} />
  ),
  FACTOR_TYPE_TEMPORARY_PASS: (props) => (
    <CodeForm {...props} kind="temporaryPass" hint={props.language.words.typePass} isNumber={false} />
  ),
};

/** Asks for a factor; nothing for a kind that this page does not know. */
export function Way(props: WayProps) {
  const Known = ways[props.factor.type];
  return Known ? <Known {...props} /> : null;
}

/** What a factor is called: its kind, and what tells it from others of the kind, where the user has named it. */
export const nameOf = ({ language: { words }, factor }: Pick<WayProps, "language" | "factor">): string => {
  const kind = words.factors[factor.type] ?? factor.type;
  const own = factor.maskedTarget || (factor.factorId && factor.displayName);
  // A factor that nobody has named is called by its kind, in English.
  return own && own !== en.factors[factor.type] ? `${kind}: ${own}` : kind;
};

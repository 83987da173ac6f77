import { generateURI, ScureBase32Plugin } from "otplib";
import qrcode from "qrcode";
import { cutText, withoutControls } from "../../core/text.ts";
import type { CodeParameters } from "./totp-code.ts";

const base32 = new ScureBase32Plugin();

/** What the app shows beside the code. */
export interface Label {
  /** The service the account is for; holds no ':' (the separator of the key URI's label). */
  readonly issuer: string;
  readonly accountName: string;
}

/** A user's id as an account name: without what would break or forge the label. */
export const accountNameOf = (userId: string): string =>
  cutText(withoutControls(userId.replaceAll(":", "_"), "_"), 128);

/** The secret in every form an authenticator app takes it: text, key URI, QR code as PNG and SVG. */
export async function provision(secret: Uint8Array, parameters: CodeParameters, { issuer, accountName }: Label) {
  const text = base32.encode(secret, { padding: false });
  const { algorithm, digits, periodSeconds: period } = parameters;
  const otpauthUri = generateURI({ issuer, label: accountName, secret: text, algorithm, digits, period });
  const [qrPng, qrSvg] = await Promise.all([
    qrcode.toBuffer(otpauthUri, { type: "png", errorCorrectionLevel: "M" }),
    qrcode.toString(otpauthUri, { type: "svg", errorCorrectionLevel: "M" }),
  ]);
  return { secret: text, otpauthUri, qrPng, qrSvg };
}

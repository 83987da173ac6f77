import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import type { Destination } from "./destination.ts";

/** Kinds of line that get text messages at the price of one. Premium and shared-cost numbers are where the fraud is. */
const ADMITTED = new Set(["MOBILE", "FIXED_LINE_OR_MOBILE"]);
/** Of the numbers that a fraudster rents in a row. */
const BLOCK_DIGITS = 4;

/**
 * A phone number that text messages may go to: valid in its country's plan, of a kind that gets them, in a country that
 * the tenant sends to. The largest metadata, as the others do not know the kinds of most countries' numbers.
 */
export function readPhoneNumber(text: string, countries: readonly string[]): Destination | undefined {
  const number = parsePhoneNumberFromString(text);
  if (!number?.isValid() || number.ext !== undefined) return undefined;
  const { country, countryCallingCode } = number;
  if (country === undefined || !countries.includes(country)) return undefined;
  if (!ADMITTED.has(number.getType() ?? "")) return undefined;
  // Not as typed: other digits and an extension would make two of one.
  const address = String(number.number);
  return {
    address,
    identity: address,
    masked: `+${countryCallingCode} *** ** ${address.slice(-2)}`,
    country,
    block: address.slice(0, -BLOCK_DIGITS),
  };
}

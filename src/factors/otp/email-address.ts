import { domainToASCII } from "node:url";
import type { Destination } from "./destination.ts";

/** The local part as RFC 5322 has it without quotes: nothing in it means anything to a mail program. */
const LOCAL = /^[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/;
/** What ends a host in a URL, or is decoded there: `domainToASCII` would quietly drop what follows. */
const NO_HOST = /[/\\?#:%[\]]/;
const LONGEST_LOCAL = 64;
const LONGEST = 254;

/**
 * An e-mail address that codes may go to. The domain is brought into its one ASCII form; the local part stays as it was
 * typed, since what a provider ignores in it (dots, "+tag") is that provider's business. Equal addresses are those that
 * differ in case only.
 */
export function readEmailAddress(text: string, domains: readonly string[]): Destination | undefined {
  const at = text.lastIndexOf("@");
  const local = text.slice(0, Math.max(at, 0));
  const typedDomain = text.slice(at + 1);
  const domain = NO_HOST.test(typedDomain) ? "" : domainToASCII(typedDomain);
  const address = `${local}@${domain}`;
  if (!LOCAL.test(local) || local.length > LONGEST_LOCAL || address.length > LONGEST) return undefined;
  if (!DOMAIN.test(domain)) return undefined;
  if (domains.length > 0 && !domains.includes(domain)) return undefined;
  return {
    address,
    identity: address.toLowerCase(),
    masked: `${local.slice(0, 1)}***@${domain}`,
    country: "",
    block: "",
  };
}

import { IssuerUnavailable, issuerKeys, type KeysAt, keysOfFile } from "../issuer-keys.ts";
import type { Issuer } from "./issuer.ts";
import type { Preset } from "./presets.ts";
import { tokenRules } from "./token-rules.ts";
import type { TokenSettings } from "./token-settings.ts";

/** An issuer as the settings name it; of the places of its keys there is one. */
export interface ConfiguredIssuer extends TokenSettings {
  readonly issuer: string;
  readonly jwksFile?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly discovery?: boolean | undefined;
  readonly audiences?: readonly string[] | undefined;
  readonly tenant?: string | undefined;
  readonly operator?: boolean | undefined;
  readonly preset?: Preset | undefined;
}

/** A configured issuer, and how to see at the start whether its keys are of any use. */
export interface OpenedIssuer extends Issuer {
  /** Answers why no key of it can verify anything, or why there is none yet; undefined when all is well. */
  readonly lookAtKeys: () => Promise<string | undefined>;
}

const nothing = async () => undefined;

/** Says what came of fetching keys; without an answer the start goes on, as the issuer may come back. */
const lookAt = (preload: () => Promise<string | undefined>) => () =>
  preload().catch((error: unknown) => {
    if (error instanceof IssuerUnavailable) return `keys could not be fetched: ${error.message}`;
    throw error;
  });

/** Makes an issuer of its settings; throws, naming the file, when its key file holds no usable key. */
export async function openIssuer(settings: ConfiguredIssuer): Promise<OpenedIssuer> {
  const { issuer, jwksFile, jwksUrl, audiences, tenant, operator, preset } = settings;
  const rules = tokenRules(settings, preset);
  const opened = { issuer, rules, audiences, tenantId: tenant, operator };
  if (jwksFile !== undefined) {
    return { ...opened, keys: await keysOfFile(jwksFile, rules.algorithms), lookAtKeys: nothing };
  }
  const at: KeysAt = jwksUrl === undefined ? { discoverFrom: issuer } : { url: jwksUrl };
  const keys = issuerKeys(at, rules.algorithms);
  return { ...opened, keys, lookAtKeys: lookAt(keys.preload) };
}

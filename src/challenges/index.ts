import { type Algorithm, createAssertionKeys, KEY_SET_MAX_AGE_MS } from "../assertions/assertion-keys.ts";
import { createAssertionHandlers } from "../assertions/assertions.handlers.ts";
import { createAssertions } from "../assertions/assertions.ts";
import { createRaise } from "../assertions/raise.ts";
import { checkpointKeys } from "../audit/checkpoint-keys.ts";
import { type ActionContent, actionDigest } from "../client/action-digest.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Store } from "../db/store.ts";
import type { ListedNetworks } from "../ip-whitelist/listed-networks.ts";
import { createTickets } from "../protection/tickets.ts";
import type { Histories } from "../risk/history.ts";
import type { Judging } from "../risk/judging.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import { createTrustedDeviceHandlers } from "../trusted-devices/trusted-devices.handlers.ts";
import { createTrustedDevices } from "../trusted-devices/trusted-devices.ts";
import type { Hub } from "../watch/hub.ts";
import { renderAction } from "./actions.ts";
import { createChallengeHandlers } from "./challenges.handlers.ts";
import { createChallenges } from "./challenges.ts";
import type { Registry } from "./eligibility.ts";
import { createEvaluation } from "./evaluation.ts";
import { createLogInHandlers } from "./log-in.handlers.ts";
import { createAskPhones } from "./phones.ts";
import { createRedemptionHandlers } from "./redemption.handlers.ts";
import { createRedemption } from "./redemption.ts";
import { createStepUp } from "./step-up.ts";

/** What proofs of any factor need of the process. */
export interface ProofOptions extends Registry {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Where streams wait for changes. */
  readonly hub: Hub;
  readonly settingsOf: SettingsOf;
  readonly pageTokens: PageTokens;
  readonly judging: Judging;
  readonly histories: Histories;
  readonly listedNetworks: ListedNetworks;
  readonly assertions: { readonly issuer: string; readonly algorithm: Algorithm };
}

/** Everything between a factor's proof and a backend's trust in it: challenges, assertions, step-up. */
export function createProofs(options: ProofOptions) {
  const { store, clock, hub, settingsOf, factors, provers } = options;
  const { issuer, algorithm } = options.assertions;
  const registry: Registry = { factors, provers };
  const keys = createAssertionKeys({ store, keyring: options.keyring, clock, algorithm });
  /** Both kinds of keys that others verify with; an assertion is verified here by its own kind only. */
  const published = async () => ({ keys: [...(await keys.keySet()).keys, ...checkpointKeys(options.keyring)] });
  const assertions = createAssertions({ keys, issuer, clock });
  const challenges = createChallenges({ ...registry, settingsOf, hub });
  const trustedDevices = createTrustedDevices(options.keyring);
  const tickets = createTickets(options.keyring);
  const evaluation = createEvaluation({ ...registry, ...options, tickets, trustedDevices });
  const redemption = createRedemption({
    ...registry,
    settingsOf,
    assertions,
    trustedDevices,
    histories: options.histories,
  });
  const stepUp = createStepUp({ ...registry, challenges, redemption, assertions });
  const handlers = [
    createChallengeHandlers(challenges, settingsOf),
    createRedemptionHandlers(redemption, stepUp),
    createAssertionHandlers(assertions, published),
    createTrustedDeviceHandlers(trustedDevices, { settingsOf, pageTokens: options.pageTokens }),
    createLogInHandlers(evaluation, trustedDevices),
  ] as const;
  const [generic, redeeming, stated, clients, logIn] = handlers;
  return {
    user: { ...generic.user, ...redeeming.user, ...clients.user },
    internal: {
      ...{ ...generic.internal, ...redeeming.internal, ...stated.internal },
      ...{ ...clients.internal, ...logIn.internal },
    },
    /** An action as its user is to read it, and the digest that a signature binds. */
    describeAction: async (tenantId: string, action: ActionContent) => ({
      digest: actionDigest(action),
      rendered: renderAction(action, await settingsOf(tenantId)),
    }),
    raise: createRaise({ assertions, store, keyring: options.keyring, settingsOf }),
    /** Asks the phones of a user, for the feature that they are paired by. */
    askPhones: createAskPhones(challenges, settingsOf),
    /** The key set as a page for verifiers. */
    keySet: async () => ({
      status: 200,
      type: "application/jwk-set+json",
      body: JSON.stringify(await published()),
      maxAgeS: KEY_SET_MAX_AGE_MS / 1000,
    }),
  };
}

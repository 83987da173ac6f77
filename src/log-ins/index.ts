import { type Algorithm, createAssertionKeys, KEY_SET_MAX_AGE_MS } from "../assertions/assertion-keys.ts";
import { createAssertionHandlers } from "../assertions/assertions.handlers.ts";
import { createAssertions } from "../assertions/assertions.ts";
import { createRaise } from "../assertions/raise.ts";
import { checkpointKeys } from "../audit/checkpoint-keys.ts";
import { renderAction } from "../challenges/actions.ts";
import { createChallengeHandlers } from "../challenges/challenges.handlers.ts";
import { createChallenges } from "../challenges/challenges.ts";
import type { Registry } from "../challenges/eligibility.ts";
import { createAskPhones } from "../challenges/push-challenge.ts";
import { createRedemptionHandlers } from "../challenges/redemption.handlers.ts";
import { createRedemption } from "../challenges/redemption.ts";
import { createStepUp } from "../challenges/step-up.ts";
import { refuseAction } from "../challenges/users-actions.ts";
import { type ActionContent, actionDigest } from "../client/action-digest.ts";
import type { Call } from "../core/call.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Store } from "../db/store.ts";
import type { createTickets } from "../enrollment-tickets/tickets.ts";
import type { ListedNetworks } from "../ip-whitelist/listed-networks.ts";
import type { RiskEngine } from "../risk/engine.ts";
import type { Histories } from "../risk/history.ts";
import type { Notifier } from "../streams/notifier.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { createTrustedDeviceHandlers } from "../trusted-devices/trusted-devices.handlers.ts";
import type { createTrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { createEvaluation } from "./evaluation.ts";
import { createLogInHandlers } from "./log-ins.handlers.ts";

/** Dependencies of proofs of any factor. */
export interface ProofOptions extends Registry {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Wakes open streams. */
  readonly notifier: Notifier;
  readonly settingsOf: SettingsOf;
  readonly pageTokens: PageTokens;
  readonly judging: RiskEngine;
  readonly histories: Histories;
  readonly listedNetworks: ListedNetworks;
  readonly trustedDevices: ReturnType<typeof createTrustedDevices>;
  readonly tickets: ReturnType<typeof createTickets>;
  readonly assertions: { readonly issuer: string; readonly algorithm: Algorithm };
}

/** Everything between a factor's proof and a backend's trust in it: challenges, assertions, step-up. */
export function createLogInFeatures(options: ProofOptions) {
  const { store, clock, notifier, settingsOf, factors, provers, trustedDevices, tickets } = options;
  const { issuer, algorithm } = options.assertions;
  const registry: Registry = { factors, provers };
  const keys = createAssertionKeys({ store, keyring: options.keyring, clock, algorithm });
  /** Both kinds of keys that others verify with; an assertion is verified here by its own kind only. */
  const published = async () => ({ keys: [...(await keys.keySet()).keys, ...checkpointKeys(options.keyring)] });
  const assertions = createAssertions({ keys, issuer, clock });
  const challenges = createChallenges({ ...registry, settingsOf, notifier });
  const evaluation = createEvaluation({ ...registry, ...options, assertions, tickets, trustedDevices });
  const redemption = createRedemption({
    ...registry,
    settingsOf,
    assertions,
    trustedDevices,
    histories: options.histories,
  });
  const stepUp = createStepUp({ ...registry, challenges, redemption, assertions });
  const handlers = {
    challenges: createChallengeHandlers(challenges, settingsOf),
    redemption: createRedemptionHandlers(redemption, stepUp),
    assertions: createAssertionHandlers(assertions, published, settingsOf),
    trustedDevices: createTrustedDeviceHandlers(trustedDevices, { settingsOf, pageTokens: options.pageTokens }),
    logIns: createLogInHandlers(evaluation, trustedDevices),
  };
  return {
    handlers,
    challenges,
    redemption,
    /** What tokens of this service's own are made of. */
    stating: { assertions, keys },
    /**
     * Returns an action as rendered for the user, with the digest that a signature binds; or the refusal to name it.
     */
    describeAction: async ({ caller }: Call, action: ActionContent) => {
      const settings = await settingsOf(caller.tenantId);
      const refused = refuseAction(caller, action, settings);
      return refused ?? { digest: actionDigest(action), rendered: renderAction(action, settings) };
    },
    raise: createRaise({ assertions, settingsOf }),
    /** Sends requests to a user's phones. */
    askPhones: createAskPhones(challenges, settingsOf),
    /** The JWKS page. */
    keySet: async () => ({
      status: 200,
      type: "application/jwk-set+json",
      body: JSON.stringify(await published()),
      maxAgeS: KEY_SET_MAX_AGE_MS / 1000,
    }),
  };
}

import type { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { listHeld, primaryAmong } from "../factors/index.ts";
import { lockoutsOf } from "../protection/lockouts.ts";
import type { createTickets } from "../protection/tickets.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import type { Trust, TrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Offer } from "./challenges.table.ts";
import { offersOf } from "./challenges.ts";
import { eligible, type Registry } from "./eligibility.ts";

/** A log-in as its backend describes it. */
export interface LogIn {
  readonly trustToken: string;
  /** What the application asks for at least. */
  readonly strength: keyof typeof AuthenticationStrength;
  /** When the first factor was proved; undefined where the backend does not say. */
  readonly firstFactorTime: Date | undefined;
}

/** What evaluation needs of the process. */
export interface EvaluationOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly tickets: ReturnType<typeof createTickets>;
  readonly trustedDevices: TrustedDevices;
}

/** What a log-in still needs. */
export interface Evaluation {
  readonly decisionId: string;
  readonly decision: "ALLOW" | "CHALLENGE" | "ENROLL" | "DENY";
  readonly strength: keyof typeof AuthenticationStrength;
  readonly offers: readonly Offer[];
  readonly enrollable: readonly { readonly type: Offer["type"] }[];
  readonly ticket: { readonly ticket: string; readonly expireTime: Date } | undefined;
  readonly trust: Trust | undefined;
  readonly lockouts: Awaited<ReturnType<typeof lockoutsOf>>;
  readonly mfaEpoch: number;
}

/**
 * Judges log-ins. Every log-in is taken for one of low risk, and no user must have a factor, as there is no risk engine
 * and there are no enforcement rules yet: a factor is asked for where the user has one, or the application demands it.
 */
export function createEvaluation({ settingsOf, tickets, trustedDevices, ...registry }: EvaluationOptions) {
  const decide = (
    { strength }: LogIn,
    { enrolled, anyKind, trusted }: { enrolled: boolean; anyKind: boolean; trusted: boolean },
  ): Evaluation["decision"] => {
    // A trusted client stands in for a proof that nobody asked for by its worth; it is no proof.
    if (enrolled && trusted && strength === "UNSPECIFIED") return "ALLOW";
    if (enrolled) return anyKind ? "CHALLENGE" : "DENY";
    return strength === "UNSPECIFIED" ? "ALLOW" : "ENROLL";
  };

  return {
    /** The same statements for users that are not known, who are taken for users without factors. */
    async evaluate(call: Call, owner: Owner, logIn: LogIn): Promise<Evaluation | Refusal> {
      const settings = await settingsOf(owner.tenantId);
      const demands = { allowedTypes: [], strength: logIn.strength, requiresBinding: false };
      const kinds = eligible(registry, demands, settings);
      return call.unit(async (tx: Tx) => {
        const user = await userRepository(tx).find(owner);
        const held = await listHeld(tx, owner, call.now);
        const lockouts = await lockoutsOf(tx, owner, call.now);
        const { application } = call.client;
        const asked = { trustToken: logIn.trustToken, application };
        const trust = logIn.trustToken === "" ? undefined : await trustedDevices.checkIn(tx, call, owner, asked);
        const primary = primaryAmong(held, user?.primaryFactorId);
        const fitting = logIn.strength === "DEVICE_BOUND" ? held.filter(({ deviceBound }) => deviceBound) : held;
        const all = offersOf(fitting, kinds, settings, primary?.factorId);
        const counterOf = (type: Offer["type"]) => registry.provers.find((prover) => prover.type === type)?.counter;
        const offers = all.filter(({ type }) => !lockouts.some(({ counter }) => counter === counterOf(type)));
        const enrolled = held.some(({ factor, state }) => factor.counts && state === "ACTIVE");
        const decision = decide(logIn, { enrolled, anyKind: all.length > 0, trusted: trust?.row !== undefined });
        const enrollable = registry.factors.filter((factor) => factor.counts && factor.isEnrollable(settings));
        const ticket =
          decision === "ENROLL"
            ? await tickets.issue(tx, owner, { now: call.now, firstFactorTime: logIn.firstFactorTime ?? new Date(0) })
            : undefined;
        if (ticket instanceof Refusal) return ticket;
        return {
          ...{ decisionId: newId(), decision, trust, lockouts, ticket },
          strength: logIn.strength === "UNSPECIFIED" ? "ANY_FACTOR" : logIn.strength,
          offers: decision === "CHALLENGE" ? offers : [],
          enrollable: decision === "ENROLL" ? enrollable : [],
          mfaEpoch: user?.mfaEpoch ?? 0,
        };
      });
    },
  };
}

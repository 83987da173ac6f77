import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { enforceAt, type Stated } from "../enforcement/enforcement.ts";
import { listHeld } from "../factors/index.ts";
import { canBeWorth, type Strength, strongest } from "../factors/strength.ts";
import type { ListedNetworks } from "../ip-whitelist/listed-networks.ts";
import { lockoutsOf } from "../protection/lockouts.ts";
import type { createTickets } from "../protection/tickets.ts";
import type { Reason } from "../risk/assessment.ts";
import { decide, type Outcome } from "../risk/decision.ts";
import type { Histories } from "../risk/history.ts";
import { type Judgement, type Judging, type LogInSeen, standingOf } from "../risk/judging.ts";
import type { Level } from "../risk/requirement.ts";
import type { Settings, SettingsOf } from "../tenants/settings.ts";
import type { Trust, TrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Offer } from "./challenges.table.ts";
import type { Registry } from "./eligibility.ts";
import { offersOf, openKinds } from "./offers.ts";

/** A log-in as its backend describes it. */
export interface LogIn {
  readonly trustToken: string;
  /** What the application asks for at least. */
  readonly strength: Strength;
  /** When the first factor was proved; undefined where the backend does not say. */
  readonly firstFactorTime: Date | undefined;
  /** What the client looks like; empty where the backend does not say. */
  readonly fingerprint: string;
  readonly signals: LogInSeen["signals"];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
}

/** What evaluation needs of the process. */
export interface EvaluationOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly tickets: ReturnType<typeof createTickets>;
  readonly trustedDevices: TrustedDevices;
  readonly judging: Judging;
  readonly histories: Histories;
  readonly listedNetworks: ListedNetworks;
}

/** What a log-in still needs. */
export interface Evaluation {
  readonly decisionId: string;
  readonly decision: Outcome;
  readonly level: Level;
  readonly reasons: readonly Reason[];
  readonly policyVersion: number;
  readonly strength: Strength;
  readonly offers: readonly Offer[];
  readonly enrollable: readonly { readonly type: Offer["type"] }[];
  readonly ticket: { readonly ticket: string; readonly expireTime: Date } | undefined;
  readonly trust: Trust | undefined;
  readonly lockouts: Awaited<ReturnType<typeof lockoutsOf>>;
  readonly mfaEpoch: number;
  readonly enforced: boolean;
  readonly graceUntil: Date | undefined;
  /** What rules that are only reported would have made of it; undefined where that is the same. */
  readonly reportOnly: Outcome | undefined;
}

/**
 * Judges log-ins: how risky one is, what the tenant's policy asks for at that level, what rules and the application
 * demand, and what of it the user has.
 */
export function createEvaluation(options: EvaluationOptions) {
  const { settingsOf, tickets, trustedDevices, listedNetworks, judging, histories, factors, provers } = options;

  const enrollableFor = ({ requirement, decided }: Judgement, settings: Settings) => {
    const counting = factors.filter((factor) => factor.counts && factor.isEnrollable(settings));
    const worth = counting.filter((factor) => canBeWorth(factor, decided.strength));
    const named = worth.filter(({ type }) => requirement.anyOf.some((group) => group.includes(type)));
    // Where only kinds that do not count are named, one that does comes first.
    return named.length > 0 ? named : worth;
  };

  /** A ticket to enrol the first factor: where one is needed, or put off and wanted; at high risk for nobody. */
  const ticketFor = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    {
      firstFactorTime = new Date(0),
      ...found
    }: { firstFactorTime: Date | undefined; decision: Outcome; putOff: boolean },
  ) => {
    if (found.decision !== "ENROLL" && !found.putOff) return undefined;
    const ticket = await tickets.issue(tx, owner, { now: call.now, firstFactorTime });
    return ticket instanceof Refusal && found.decision !== "ENROLL" ? undefined : ticket;
  };

  return {
    /** The same statements for users that are not known, who are taken for users without factors. */
    async evaluate(call: Call, owner: Owner, logIn: LogIn): Promise<Evaluation | Refusal> {
      const settings = await settingsOf(owner.tenantId);
      const { client, now } = call;
      const listed = await listedNetworks.isListed(owner.tenantId, client.ip, now);
      return call.unit(async (tx: Tx) => {
        const user = await userRepository(tx).find(owner);
        const held = await listHeld(tx, owner, now);
        const lockouts = await lockoutsOf(tx, owner, now);
        const { trustToken, fingerprint, signals, firstFactorTime, strength: asked } = logIn;
        const presented = { trustToken, application: client.application };
        const trust = trustToken === "" ? undefined : await trustedDevices.checkIn(tx, call, owner, presented);
        const stated: Stated = { roles: logIn.roles, groups: logIn.groups, application: client.application };
        const rules = await enforceAt(tx, owner, stated, now);
        const enforced = strongest(...rules.demanded);
        const standing = { ...standingOf(held, settings), trusted: trust?.row !== undefined, asked, enforced };
        const seen = { client, fingerprint, signals, listed, trusted: standing.trusted };
        const judgement = await judging.judge(tx, owner, seen, { standing, now });
        const { assessment, requirement, decided, look } = judgement;
        const { decision } = decided;
        const { level } = assessment;
        const stricter = { ...standing, enforced: strongest(enforced, ...rules.reported) };
        const reported = decide(factors, { level, requirement }, stricter).decision;
        const putOff = rules.graceUntil !== undefined && !standing.enrolled && decision === "ALLOW" && level !== "HIGH";
        const ticket = await ticketFor(tx, call, owner, { firstFactorTime, decision, putOff });
        if (ticket instanceof Refusal) return ticket;
        const row = await judging.record(tx, call, owner, { judgement, client, underWay: true });
        // What is let in now is what the user's log-ins look like; what is challenged, once that is redeemed.
        if (decision === "ALLOW") await histories.remember(tx, owner, look, now);
        const kinds = decided.types.map((type) => ({ type }));
        const open = openKinds({ factors, provers }, kinds, lockouts);
        return {
          ...{ decisionId: row.decisionId, decision, level, reasons: assessment.reasons, trust, lockouts, ticket },
          policyVersion: judgement.policyVersion,
          // Kinds that are named say themselves what they are worth.
          strength: decided.strength === "UNSPECIFIED" && decided.groups.length === 0 ? "ANY_FACTOR" : decided.strength,
          offers: offersOf(held, open, { strength: decided.strength, settings, primaryId: user?.primaryFactorId }),
          enrollable: ticket === undefined ? [] : enrollableFor(judgement, settings),
          mfaEpoch: user?.mfaEpoch ?? 0,
          enforced: rules.enforced,
          graceUntil: rules.graceUntil,
          reportOnly: reported === decision ? undefined : reported,
        };
      });
    },
  };
}

import type { Assertions } from "../assertions/assertions.ts";
import type { Offer } from "../challenges/challenges.table.ts";
import type { Registry } from "../challenges/eligibility.ts";
import { offersOf, openKinds } from "../challenges/offers.ts";
import type { AssertionPayload } from "../client/assertion.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { sessionDigest } from "../core/session-digest.ts";
import type { Owner, Tx } from "../db/store.ts";
import { enforceAt, type StatedUser } from "../enforcement/enforcement.ts";
import type { createTickets } from "../enrollment-tickets/tickets.ts";
import { listHeld } from "../factors/index.ts";
import { type Strength, strongest } from "../factors/strength.ts";
import type { ListedNetworks } from "../ip-whitelist/listed-networks.ts";
import { lockoutsFrom, type lockoutsOf } from "../protection/lockouts.ts";
import type { RiskContribution } from "../risk/assessment.ts";
import { type DecisionName, decide, helpful } from "../risk/decision.ts";
import { type LogInSeen, postureOf, type RiskEngine, type RiskJudgement } from "../risk/engine.ts";
import type { Histories } from "../risk/history.ts";
import type { Level } from "../risk/requirement.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import type { Trust, TrustedDevices } from "../trusted-devices/trusted-devices.ts";
import { userRepository } from "../users/users.repository.ts";

/** How long ago a factor was proved at most, for a ticket to enroll another one. */
const PROVED_S = 5 * 60;

/** A log-in as its backend describes it. */
export interface StatedLogIn {
  readonly trustToken: string;
  /** The session to be; empty where the backend does not say. */
  readonly sessionId: string;
  /** What the application asks for at least. */
  readonly strength: Strength;
  /** The proof of a factor that the user has, for a ticket to enroll a stronger one; empty for none. */
  readonly assertion: string;
  /** When the first factor was proved; undefined where the backend does not say. */
  readonly firstFactorTime: Date | undefined;
  /** What the client looks like; empty where the backend does not say. */
  readonly fingerprint: string;
  readonly signals: LogInSeen["signals"];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
}

/** Dependencies of evaluation. */
export interface EvaluationOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly assertions: Assertions;
  readonly tickets: ReturnType<typeof createTickets>;
  readonly trustedDevices: TrustedDevices;
  readonly judging: RiskEngine;
  readonly histories: Histories;
  readonly listedNetworks: ListedNetworks;
}

/** What a log-in still needs. */
export interface Evaluation {
  readonly decisionId: string;
  readonly decision: DecisionName;
  readonly level: Level;
  readonly reasons: readonly RiskContribution[];
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
  readonly reportOnly: DecisionName | undefined;
}

/**
 * Judges log-ins: how risky one is, what the tenant's policy asks for at that level, what rules and the application
 * demand, and what of it the user has.
 */
export function createEvaluation(options: EvaluationOptions) {
  const { settingsOf, assertions, tickets, trustedDevices, listedNetworks, judging, histories, factors, provers } =
    options;

  /**
   * What to enroll: what the decision asks for, or what rules will ask for whose grace runs and the user does not meet.
   * Without a factor every log-in in grace is such a one.
   */
  const enrollableFor = (
    { decided: { decision, strength }, requirement, standing, assessment: { level } }: RiskJudgement,
    coming: readonly Strength[],
  ): Offer["type"][] => {
    if (decision === "ENROLL") return helpful(factors, standing, requirement, strength);
    if (coming.length === 0 || level === "HIGH" || decision === "DENY") return [];
    const later = strongest(strength, ...coming);
    const then = decide(factors, { level, requirement }, { ...standing, trusted: false, enforced: later }).decision;
    return then === "ENROLL" ? helpful(factors, standing, requirement, later) : [];
  };

  /** The proof that a user with a factor brings for a ticket: what it states, or why it does not hold. Outside of units. */
  const readProof = async (call: Call, owner: Owner, { assertion, sessionId }: StatedLogIn) => {
    if (assertion === "") return undefined;
    const expected = { ...owner, sessionId, acr: "aal2", maxAgeSeconds: PROVED_S } as const;
    return assertions.read(assertion, call.caller.subject, expected).catch((error: unknown) => {
      if (error instanceof Refusal) return error;
      throw error;
    });
  };

  /** A ticket to enroll beside a factor that the user has just proved; undefined as long as they have not. */
  const ticketBeside = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    { proof, firstFactorTime }: { proof: AssertionPayload | Refusal | undefined; firstFactorTime: Date | undefined },
  ) => {
    if (proof === undefined || proof instanceof Refusal) return proof;
    const proved = new Date(proof.auth_time * 1000);
    const ticket = await tickets.issue(tx, owner, {
      ...{ now: call.now, besideFactor: true },
      firstFactorTime: firstFactorTime ?? proved,
    });
    if (ticket instanceof Refusal) return ticket;
    await assertions.confirm(tx, owner, proof, call.now);
    await assertions.consume(tx, owner, proof, call.now);
    return ticket;
  };

  /**
   * A ticket to enroll a factor: the first one where that is needed, or put off and wanted; beside others once one is
   * proved; at high risk for nobody.
   */
  const ticketFor = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    {
      firstFactorTime,
      ...found
    }: {
      firstFactorTime: Date | undefined;
      decision: DecisionName;
      enrolled: boolean;
      putOff: boolean;
      proof: AssertionPayload | Refusal | undefined;
    },
  ) => {
    if (found.decision !== "ENROLL" && !found.putOff) return undefined;
    if (found.enrolled) return ticketBeside(tx, call, owner, { proof: found.proof, firstFactorTime });
    const stated = firstFactorTime ?? new Date(0);
    const ticket = await tickets.issue(tx, owner, { now: call.now, firstFactorTime: stated });
    return ticket instanceof Refusal && found.decision !== "ENROLL" ? undefined : ticket;
  };

  return {
    /** The same statements for users that are not known, who are taken for users without factors. */
    async evaluate(call: Call, owner: Owner, logIn: StatedLogIn): Promise<Evaluation | Refusal> {
      const settings = await settingsOf(owner.tenantId);
      const { client, now } = call;
      const listed = await listedNetworks.isListed(owner.tenantId, client.ip, now);
      const proof = await readProof(call, owner, logIn);
      return call.unit(async (tx: Tx) => {
        const user = await userRepository(tx).find(owner);
        const held = await listHeld(tx, owner, now);
        const lockouts = await lockoutsFrom(tx, owner, now);
        const { trustToken, fingerprint, signals, firstFactorTime, strength: asked } = logIn;
        const presented = { trustToken, application: client.application, settings };
        const trust = trustToken === "" ? undefined : await trustedDevices.checkIn(tx, call, owner, presented);
        const stated: StatedUser = { roles: logIn.roles, groups: logIn.groups, application: client.application };
        const rules = await enforceAt(tx, owner, stated, now);
        const enforced = strongest(...rules.demanded);
        const standing = { ...postureOf(held, settings), trusted: trust?.row !== undefined, asked, enforced };
        const seen = { client, fingerprint, signals, listed, trusted: standing.trusted };
        const judgement = await judging.judge(tx, owner, seen, { standing, now });
        const { assessment, requirement, decided, look } = judgement;
        const { decision } = decided;
        const { level } = assessment;
        const stricter = { ...standing, enforced: strongest(enforced, ...rules.reported) };
        const reported = decide(factors, { level, requirement }, stricter).decision;
        const putOff = rules.graceUntil !== undefined && !standing.enrolled && decision === "ALLOW" && level !== "HIGH";
        const ticket = await ticketFor(tx, call, owner, {
          ...{ firstFactorTime, decision, putOff, proof },
          enrolled: standing.enrolled,
        });
        // Thrown: a log-in that is refused rotates no secret of a client and begins no grace.
        if (ticket instanceof Refusal) throw ticket;
        const row = await judging.record(tx, call, owner, {
          ...{ judgement, client },
          underWay: { sessionDigest: sessionDigest(logIn.sessionId), stated },
        });
        // What is let in now is what the user's log-ins look like; what is challenged, once that is redeemed.
        if (decision === "ALLOW") await histories.remember(tx, owner, look, now);
        const kinds = decided.types.map((type) => ({ type }));
        const open = openKinds({ factors, provers }, kinds, lockouts);
        return {
          ...{ decisionId: row.decisionId, decision, level, reasons: assessment.reasons, trust, lockouts, ticket },
          policyVersion: judgement.policyVersion,
          // Kinds that are named say themselves what they are worth.
          strength: decided.strength === "UNSPECIFIED" && decided.groups.length === 0 ? "ANY_FACTOR" : decided.strength,
          offers: offersOf(held, open, {
            // What is proved before a stronger one is enrolled need not be as strong.
            strength: decision === "ENROLL" ? "UNSPECIFIED" : decided.strength,
            ...{ settings, primaryId: user?.primaryFactorId },
          }),
          enrollable: enrollableFor(judgement, rules.coming ?? []).map((type) => ({ type })),
          mfaEpoch: user?.mfaEpoch ?? 0,
          enforced: rules.enforced,
          graceUntil: rules.graceUntil,
          reportOnly: reported === decision ? undefined : reported,
        };
      });
    },
  };
}

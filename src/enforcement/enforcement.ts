import type { UserSpan } from "../db/span.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type DeadlineRow, type EnforcementRuleRow, enforcementRepository } from "./enforcement.repository.ts";

/** What a backend states of a user who logs in. */
export interface StatedUser {
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly application: string;
}

/** What rules demand of a user. */
export interface Enforced {
  /** Whether any rule demands a factor of them. */
  readonly enforced: boolean;
  /** Until when they may still log in without one; undefined where they need not have one, or must have it by now. */
  readonly graceUntil: Date | undefined;
  /** What their proofs have to be worth by the rules whose deadline has passed. */
  readonly demanded: readonly EnforcementRuleRow["strength"][];
  /** The same by the rules whose deadline has yet to pass; absent where there are none. */
  readonly coming?: readonly EnforcementRuleRow["strength"][];
  /** The same, of rules that are only reported, as it will be once their deadlines have passed. */
  readonly reported: readonly EnforcementRuleRow["strength"][];
}

const isMeant = ({ selector }: EnforcementRuleRow, { roles, groups, application }: StatedUser): boolean =>
  selector.everyone ||
  selector.roles.some((role) => roles.includes(role)) ||
  selector.groups.some((group) => groups.includes(group)) ||
  selector.applications.includes(application);

const inForce = (rules: readonly EnforcementRuleRow[], now: Date) =>
  rules.filter(({ enabled, startTime }) => enabled && startTime <= now);

/** Under each rule its deadline; together the earliest counts. */
function together(under: readonly { rule: EnforcementRuleRow; deadline: Date }[], now: Date) {
  const passed = under.filter(({ deadline }) => deadline <= now);
  const coming = under.filter(({ deadline }) => deadline > now);
  const times = under.map(({ deadline }) => deadline.getTime());
  return {
    enforced: under.length > 0,
    graceUntil: passed.length > 0 || under.length === 0 ? undefined : new Date(Math.min(...times)),
    demanded: passed.map(({ rule }) => rule.strength),
    ...(coming.length > 0 && { coming: coming.map(({ rule }) => rule.strength) }),
  };
}

/**
 * What rules demand of a user who logs in now. The first log-in under a rule writes the user's deadline, which nothing
 * moves afterwards; a rule that is only reported writes none, or its trial would use up the grace.
 */
export async function enforceAt(tx: Tx, owner: Owner, stated: StatedUser, now: Date): Promise<Enforced> {
  const repository = enforcementRepository(tx);
  const rules = inForce(await repository.list(owner.tenantId), now);
  const held = new Map((await repository.deadlines(owner)).map((row) => [row.ruleId, row]));
  const under: { rule: EnforcementRuleRow; deadline: Date }[] = [];
  for (const rule of rules.filter(({ reportOnly }) => !reportOnly)) {
    const { ruleId, graceMs } = rule;
    const found = held.get(ruleId);
    const meant = isMeant(rule, stated);
    // Of another application's log-in nothing follows for those that a rule names by application.
    const isOver = !meant && rule.selector.applications.length === 0;
    if (found && (meant ? !found.applies : found.applies && isOver)) await repository.apply(owner, ruleId, meant);
    if (!meant) continue;
    const deadline = new Date(now.getTime() + graceMs);
    const row = found ?? (await repository.give({ ...owner, ruleId, deadline, applies: true, createTime: now }));
    under.push({ rule, deadline: row.deadline });
  }
  const reported = rules.filter((rule) => rule.reportOnly && isMeant(rule, stated)).map(({ strength }) => strength);
  return { ...together(under, now), reported };
}

const isUnder = (rule: EnforcementRuleRow, deadline: DeadlineRow | undefined) =>
  rule.selector.everyone || deadline?.applies === true;

const notTrials = async (tx: Tx, tenantId: string, now: Date) =>
  inForce(await enforcementRepository(tx).list(tenantId), now).filter(({ reportOnly }) => !reportOnly);

/** What rules demand of a user whose deadlines are these. */
function knownOf(rules: readonly EnforcementRuleRow[], deadlines: readonly DeadlineRow[], now: Date) {
  const held = new Map(deadlines.map((row) => [row.ruleId, row]));
  const under = rules
    .map((rule) => ({ rule, row: held.get(rule.ruleId) }))
    .filter(({ rule, row }) => isUnder(rule, row))
    .map(({ rule, row }) => ({ rule, deadline: row?.deadline ?? new Date(now.getTime() + rule.graceMs) }));
  return together(under, now);
}

/**
 * What rules demand of a user as far as is known without a log-in: those for everyone, and those that meant them when
 * they last logged in. Before the first log-in under a rule its grace is as if that were now.
 */
export async function enforcedOf(tx: Tx, owner: Owner, now: Date): Promise<Omit<Enforced, "reported">> {
  const rules = await notTrials(tx, owner.tenantId, now);
  return knownOf(rules, await enforcementRepository(tx).deadlines(owner), now);
}

/**
 * What rules demand by now of a user who is logging in, whose backend stated this of them; where it is not known what was
 * stated, as without a log-in. Writes no deadline: where a rule gives grace, it begins with the next log-in.
 */
export async function demandedAt(
  tx: Tx,
  owner: Owner,
  stated: StatedUser | null,
  now: Date,
): Promise<readonly EnforcementRuleRow["strength"][]> {
  const rules = await notTrials(tx, owner.tenantId, now);
  if (rules.length === 0) return [];
  const deadlines = await enforcementRepository(tx).deadlines(owner);
  if (!stated) return knownOf(rules, deadlines, now).demanded;
  const held = new Map(deadlines.map((row) => [row.ruleId, row.deadline]));
  const under = rules
    .filter((rule) => isMeant(rule, stated))
    .map((rule) => ({ rule, deadline: held.get(rule.ruleId) ?? new Date(now.getTime() + rule.graceMs) }));
  return together(under, now).demanded;
}

/** Whether a user of a span must have a factor by now; the same as `enforcedOf`, of many at once. */
export async function overdueIn(tx: Tx, span: UserSpan, now: Date): Promise<(userId: string) => boolean> {
  const rules = await notTrials(tx, span.tenantId, now);
  if (rules.length === 0) return () => false;
  const held = Map.groupBy(await enforcementRepository(tx).deadlinesIn(span), ({ userId }) => userId);
  return (userId) => {
    const { enforced, graceUntil } = knownOf(rules, held.get(userId) ?? [], now);
    return enforced && graceUntil === undefined;
  };
}

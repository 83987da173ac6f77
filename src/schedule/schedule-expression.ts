import { Cron } from "croner";

/** A parsed schedule: "PT10M" (an ISO 8601 period of days and less), or cron of five fields, in UTC. */
export interface ScheduleExpression {
  /**
   * Returns the first due time after `now`. Periods count from `last`, so that a long run does not shift later ones.
   */
  next(now: Date, last: Date): Date;
  /** Returns the latest possible due time: a later one was computed under another clock. */
  latest(now: Date): Date;
  /** Returns the first due time of a task that never ran: at once for periods. */
  first(now: Date): Date;
}

const PERIOD = /^P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

function periodMsOf(schedule: string): number | undefined {
  const found = PERIOD.exec(schedule);
  if (!found) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = found.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

function ofPeriod(periodMs: number): ScheduleExpression {
  const in_ = (now: Date, ms: number) => new Date(now.getTime() + ms);
  return {
    next(now, last) {
      const since = now.getTime() - last.getTime();
      return since < 0 ? in_(now, periodMs) : in_(last, (Math.floor(since / periodMs) + 1) * periodMs);
    },
    latest: (now) => in_(now, periodMs),
    first: (now) => now,
  };
}

/** Five fields: croner also accepts seconds, years and nicknames, which the contract does not have. */
const CRON = /^\S+(?: \S+){4}$/;
/** Longer periods are refused: a yearly task can use cron. */
const LONGEST_MS = 366 * 24 * 3600 * 1000;

function ofCron(schedule: string): ScheduleExpression {
  if (!CRON.test(schedule)) throw new Error(`the schedule ${schedule} is not cron of five fields`);
  const cron = new Cron(schedule, { timezone: "UTC", paused: true });
  const next = (now: Date) => {
    const due = cron.nextRun(now);
    if (!due) throw new Error(`the schedule ${schedule} is never due`);
    return due;
  };
  return { next, latest: next, first: next };
}

/** Whether a text is a schedule, and ever due. */
export function isSchedule(text: string): boolean {
  try {
    parseSchedule(text).first(new Date());
    return true;
  } catch {
    return false;
  }
}

/** Reads a schedule; throws where it is none. */
export function parseSchedule(schedule: string): ScheduleExpression {
  const periodMs = periodMsOf(schedule);
  if (periodMs === undefined) return ofCron(schedule);
  if (periodMs < 1000) throw new Error(`the schedule ${schedule} is shorter than a second`);
  if (periodMs > LONGEST_MS) throw new Error(`the schedule ${schedule} is longer than 366 days`);
  return ofPeriod(periodMs);
}

import { Cron } from "croner";

/** When a task is due: "PT10M" (an ISO 8601 period of days and less), or cron of five fields, in UTC. */
export interface Rhythm {
  /** The first time after `now`. Periods go on counting from `last`, so that a run that took long moves none. */
  next(now: Date, last: Date): Date;
  /** When it is due at the latest: a time beyond was worked out under another clock. */
  latest(now: Date): Date;
  /** When it is due if it has never been: periods at once. */
  first(now: Date): Date;
}

const PERIOD = /^P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

function periodMsOf(schedule: string): number | undefined {
  const found = PERIOD.exec(schedule);
  if (!found) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = found.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

function ofPeriod(periodMs: number): Rhythm {
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

function ofCron(schedule: string): Rhythm {
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
    rhythmOf(text).first(new Date());
    return true;
  } catch {
    return false;
  }
}

/** Reads a schedule; throws where it is none. */
export function rhythmOf(schedule: string): Rhythm {
  const periodMs = periodMsOf(schedule);
  if (periodMs === undefined) return ofCron(schedule);
  if (periodMs < 1000) throw new Error(`the schedule ${schedule} is shorter than a second`);
  return ofPeriod(periodMs);
}

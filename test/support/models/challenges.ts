import { AttemptModel, type Outcome } from "./totp.ts";

const STEP = 30_000;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** The backends of the model's world. */
export type Backend = "shop" | "bank";
/** A code as it is typed, whatever its digits: that of now, the one spent last, or none that the app shows. */
export type Code = "right" | "spent" | "wrong";
/** Where a request for redemption says something else than the challenge does. */
export type Terms = "right" | "session" | "nonce" | "action";

/** A challenge as the model has it. */
export interface ModelChallenge {
  readonly by: Backend;
  readonly acts: boolean;
  readonly epoch: number;
  readonly createTime: number;
  expireTime: number;
  proveTime: number;
  written: "PENDING" | "PROVEN" | "REDEEMED" | "CANCELLED" | "GONE";
}

/** An assertion as the model has it. */
interface ModelAssertion {
  readonly by: Backend;
  readonly acts: boolean;
  readonly epoch: number;
  readonly proveTime: number;
  readonly lastSecond: number;
  consumed: boolean;
}

/** A trusted client as the model has it. */
interface ModelClient {
  readonly epoch: number;
  readonly expireTime: number;
  rotateTime: number;
  /** How many secrets it was given. */
  secrets: number;
  ended: boolean;
}

/**
 * What challenges, assertions and trusted clients are to do for one user, written as plainly as can be and without a
 * look at the service: one thing after the other, numbers in variables, codes without digits.
 */
export class LogInModel extends AttemptModel {
  epoch: number;
  active: boolean;
  lastStep: number;
  lockedAt = Number.NEGATIVE_INFINITY;
  challenges: ModelChallenge[] = [];
  assertions: ModelAssertion[] = [];
  clients: ModelClient[] = [];

  /** A user whose app was enrolled in a step, or who has none. */
  constructor(lastStep?: number) {
    super();
    this.epoch = lastStep === undefined ? 0 : 1;
    this.active = lastStep !== undefined;
    this.lastStep = lastStep ?? 0;
  }

  /** The same user, who can go on in another way. */
  clone(): LogInModel {
    return Object.assign(new LogInModel(), structuredClone({ ...this }));
  }

  stateOf(one: ModelChallenge, now: number): string {
    if (one.written !== "PENDING" && one.written !== "PROVEN") return one.written;
    if (one.expireTime <= now) return "EXPIRED";
    if (one.epoch !== this.epoch) return "CANCELLED";
    return this.lockedAt >= one.createTime ? "LOCKED" : one.written;
  }

  /** Why it cannot be answered or redeemed. */
  #ended(one: ModelChallenge, now: number): Outcome {
    const state = this.stateOf(one, now);
    return state === "PENDING" || state === "PROVEN" ? "WRONG_STATE" : "CHALLENGE_EXPIRED";
  }

  #isHidden = (one: ModelChallenge, by: Backend) => one.by !== by || one.written === "GONE";

  create(now: number, { by, acts, lifetime }: { by: Backend; acts: boolean; lifetime: number }): Outcome {
    if (this.lockedUntil > now) return "LOCKED";
    for (const old of this.challenges) if (old.expireTime <= now - 60 * MINUTE) old.written = "GONE";
    const open = this.challenges.filter((one) => ["PENDING", "PROVEN"].includes(this.stateOf(one, now)));
    if (open.length >= 20) return "RATE_LIMITED";
    const times = { createTime: now, expireTime: now + lifetime * SECOND, proveTime: 0 };
    this.challenges.push({ by, acts, epoch: this.epoch, written: "PENDING", ...times });
    return "OK";
  }

  /** A code for whatever: counted before it is judged. */
  type(now: number, code: Code): Outcome {
    const step = Math.floor(now / STEP);
    const isRight = code === "right" && this.active && step > this.lastStep;
    const spend = () => {
      this.lastStep = step;
    };
    const outcome = this.attempt(now, () => (isRight ? spend : undefined));
    if (outcome === "CODE_REJECTED" && this.lockedUntil > now) this.lockedAt = now;
    return outcome;
  }

  verify(now: number, which: number, { by, code }: { by: Backend; code: Code }): Outcome {
    const one = this.challenges[which] as ModelChallenge;
    if (this.#isHidden(one, by)) return "NOT_FOUND";
    if (this.stateOf(one, now) !== "PENDING") return this.#ended(one, now);
    const outcome = this.type(now, code);
    if (outcome === "OK")
      Object.assign(one, { written: "PROVEN", proveTime: now, expireTime: now + 5 * MINUTE } as const);
    return outcome;
  }

  resend(now: number, which: number, by: Backend): Outcome {
    const one = this.challenges[which] as ModelChallenge;
    if (this.#isHidden(one, by)) return "NOT_FOUND";
    return this.stateOf(one, now) === "PENDING" ? "OK" : this.#ended(one, now);
  }

  cancel(now: number, which: number, by: Backend): Outcome {
    const one = this.challenges[which] as ModelChallenge;
    if (this.#isHidden(one, by)) return "NOT_FOUND";
    if (["PENDING", "PROVEN"].includes(this.stateOf(one, now))) one.written = "CANCELLED";
    return "OK";
  }

  redeem(now: number, which: number, { by, terms, trust }: { by: Backend; terms: Terms; trust: boolean }): Outcome {
    const one = this.challenges[which] as ModelChallenge;
    if (this.#isHidden(one, by)) return "NOT_FOUND";
    if (terms !== "right") return "ASSERTION_REJECTED";
    if (this.stateOf(one, now) !== "PROVEN") return this.#ended(one, now);
    one.written = "REDEEMED";
    const lastSecond = now + ((one.acts ? 60 : 120) + 30) * SECOND;
    const { acts, epoch, proveTime } = one;
    this.assertions.push({ by, acts, epoch, proveTime, lastSecond, consumed: false });
    if (!trust || this.clients.filter((client) => this.#isTrusted(client, now)).length >= 3) return "OK";
    this.clients.push({ epoch, expireTime: now + 30 * DAY, rotateTime: now, secrets: 1, ended: false });
    return "OK, trusted";
  }

  consume(now: number, which: number, { by, terms }: { by: Backend; terms: Terms }): Outcome {
    const one = this.assertions[which];
    if (!one || one.by !== by || terms !== "right" || one.consumed || one.lastSecond <= now)
      return "ASSERTION_REJECTED";
    if (one.epoch !== this.epoch || this.lockedAt >= one.proveTime) return "ASSERTION_REJECTED";
    one.consumed = true;
    return "OK";
  }

  #isTrusted = (client: ModelClient, now: number) =>
    !client.ended && client.epoch === this.epoch && client.expireTime > now;

  /** Presents the secret that a client was given as its `nth`, from 0. */
  check(now: number, which: number, nth: number): Outcome {
    const client = this.clients[which] as ModelClient;
    if (!this.#isTrusted(client, now)) return "no";
    const age = client.secrets - 1 - nth;
    if (age === 0) {
      client.rotateTime = now;
      client.secrets++;
      return "yes, next";
    }
    if (age === 1 && now - client.rotateTime <= 10 * SECOND) return "yes";
    client.ended = true;
    return "no";
  }

  trustedAt(now: number): number {
    return this.clients.filter((client) => this.#isTrusted(client, now)).length;
  }

  /** The user's password was changed: nothing from before counts. */
  change(now: number): Outcome {
    for (const one of this.challenges) {
      if (["PENDING", "PROVEN"].includes(one.written) && one.expireTime > now) one.written = "CANCELLED";
    }
    for (const client of this.clients) client.ended = true;
    this.epoch++;
    return "OK";
  }

  /** The app is switched off, or on again. */
  toggle(): Outcome {
    this.active = !this.active;
    this.epoch++;
    return "OK";
  }
}

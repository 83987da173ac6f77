import { showCode } from "../actors/authenticator-app.ts";

const STEP = 30_000;
const DAY = 24 * 60 * 60_000;
const LOCK_MINUTES = [1, 5, 15, 60];

/** A device as the model has it. */
export interface ModelDevice {
  readonly id: string;
  readonly secret: string;
  state: "active" | "disabled" | "revoked";
  lastStep: number;
  drift: number;
  hint: number;
}

/** What a call answers: "OK" or its reason. */
export type Outcome = string;

/** Failures and the locks that they lead to. Counts an attempt, then judges it: undefined for a wrong code. */
export class AttemptModel {
  failures = 0;
  inARow = 0;
  locks = 0;
  ofTheDay: number[] = [];
  lockedUntil = Number.NEGATIVE_INFINITY;

  attempt(now: number, judge: () => (() => void) | undefined): Outcome {
    if (this.lockedUntil > now) return "LOCKED";
    this.failures++;
    this.inARow++;
    this.ofTheDay = [...this.ofTheDay, now].filter((at) => at > now - DAY);
    const ends: number[] = [];
    if (this.failures >= 5) ends.push(now + (LOCK_MINUTES[this.locks] ?? 60) * 60_000);
    if (this.ofTheDay.length >= 20) ends.push((this.ofTheDay[0] ?? 0) + DAY);
    if (this.inARow >= 100) ends.push(Number.POSITIVE_INFINITY);
    if (ends.length > 0) {
      this.lockedUntil = Math.max(...ends);
      this.failures = 0;
      this.locks++;
    }
    const spend = judge();
    if (!spend) return "CODE_REJECTED";
    spend();
    this.failures = 0;
    this.inARow = 0;
    this.locks = 0;
    this.lockedUntil = Number.NEGATIVE_INFINITY;
    this.ofTheDay.pop();
    return "OK";
  }

  /** An administrator lets the user try again. */
  clear(): void {
    this.failures = 0;
    this.inARow = 0;
    this.locks = 0;
    this.lockedUntil = Number.NEGATIVE_INFINITY;
  }
}

/**
 * What TOTP and its locks are to do for one user, written as plainly as can be and without a look at the service: one
 * thing after the other, numbers in variables, codes by a generator that is not ours.
 */
export class UserModel extends AttemptModel {
  devices: ModelDevice[] = [];
  /** Spends a code of any active device, oldest first. */
  async verify(now: number, code: string): Promise<Outcome> {
    const active = this.devices.filter(({ state }) => state === "active");
    if (active.length === 0) return "NOT_ENROLLED";
    const spend = await this.#judge(now, code, active);
    return this.attempt(now, () => spend);
  }

  async #judge(now: number, code: string, active: readonly ModelDevice[]): Promise<(() => void) | undefined> {
    for (const device of active) {
      const middle = Math.floor(now / STEP) + device.drift;
      const matches: number[] = [];
      for (const step of [middle - 1, middle, middle + 1]) {
        if ((await showCode(device.secret, new Date(step * STEP))) === code) matches.push(step);
      }
      const step = matches.find((found) => found > device.lastStep) ?? matches[0];
      if (step === undefined) continue;
      // The code is this device's: spent, it is not looked for on another.
      return step > device.lastStep ? () => UserModel.#spend(device, step, step - middle) : undefined;
    }
    return undefined;
  }

  static #spend(device: ModelDevice, step: number, off: number): void {
    device.lastStep = step;
    if (off !== 0 && off === device.hint && Math.abs(device.drift + off) <= 10) {
      device.drift += off;
      device.hint = 0;
    } else device.hint = off;
  }

  /** Takes a new device in, by its first code of now, in place of another where one is named. */
  async enroll(now: number, { id, secret }: { id: string; secret: string }, replaces = ""): Promise<Outcome> {
    const lastStep = Math.floor(now / STEP);
    return this.attempt(now, () => () => {
      this.devices.push({ id, secret, state: "active", lastStep, drift: 0, hint: 0 });
      const old = this.devices.find((device) => device.id === replaces);
      if (old && old.state !== "revoked") old.state = "revoked";
    });
  }

  /** Whether one more device has room. */
  get hasRoom(): boolean {
    return this.devices.filter(({ state }) => state !== "revoked").length < 5;
  }

  /** Moves a device to another state; the last that works only when that is wanted. */
  turn(device: ModelDevice, to: ModelDevice["state"] | "deleted", confirmed: boolean): Outcome {
    const from = device.state;
    if (from === to) return "OK";
    if (from === "revoked" && to !== "deleted") return "WRONG_STATE";
    const others = this.devices.filter((other) => other !== device && other.state === "active");
    const leaves = to === "active" ? 1 : others.length;
    // Whoever has none that works is asked as well: nothing is left either way.
    const asks = to === "deleted" ? from === "active" : to !== "active";
    if (asks && leaves === 0 && !confirmed) return "LAST_FACTOR";
    if (to === "deleted") this.devices = this.devices.filter((other) => other !== device);
    else device.state = to;
    return "OK";
  }
}

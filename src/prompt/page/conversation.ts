import { signal } from "@preact/signals";
import { startAuthentication } from "@simplewebauthn/browser";
import { type OfferedFactor, type Preparation, type Prompt, type PromptCalls, Refused, secondsIn } from "./calls.ts";

/** How the page stands; "over" where the challenge has ended without a proof, "ended" where the prompt has. */
export type Stage = "loading" | "asking" | "over" | "leaving" | "ended" | "unreachable";

/** What went wrong last: a reason of the contract, or the name of a browser's error; with the seconds to wait. */
export interface Trouble {
  readonly reason: string;
  readonly waitS: number;
}

/** How often a phone's answer is looked for where the service says nothing, in seconds. */
const LOOK_S = 2;

const troubleOf = (thrown: unknown): Trouble =>
  thrown instanceof Refused
    ? { reason: thrown.reason, waitS: thrown.retryAfterS }
    : { reason: thrown instanceof Error ? thrown.name : "UNKNOWN", waitS: 0 };

/** After these the page looks again what there is left, and has ended where that is refused alike. */
const FINAL = ["CHALLENGE_EXPIRED", "INVALID_CREDENTIAL", "NOT_FOUND"];

/** One prompt from its opening to the way back. */
export function createConversation(calls: PromptCalls, leave: (address: string) => void) {
  const stage = signal<Stage>("loading");
  const prompt = signal<Prompt | undefined>(undefined);
  /** The factor that is asked for, and what was prepared of it. */
  const chosen = signal<OfferedFactor | undefined>(undefined);
  const prepared = signal<Preparation | undefined>(undefined);
  const trouble = signal<Trouble | undefined>(undefined);
  const busy = signal(false);

  const challengeId = () => prompt.value?.challenge.challengeId ?? "";

  /** Runs one step at a time; what fails is told, and what ended the prompt ends the page. */
  async function step(work: () => Promise<void>): Promise<void> {
    if (busy.value) return;
    busy.value = true;
    trouble.value = undefined;
    try {
      await work();
    } catch (thrown) {
      trouble.value = troubleOf(thrown);
      if (FINAL.includes(trouble.value.reason)) await refresh().catch(() => end());
      else if (stage.value === "loading") stage.value = "unreachable";
    } finally {
      busy.value = false;
    }
  }

  function end(): void {
    stage.value = "ended";
  }

  async function goBack(address: Promise<string>): Promise<void> {
    const to = await address;
    stage.value = "leaving";
    leave(to);
  }

  /** Shows the prompt as the service has it: what is left to prove, or the way back. */
  async function refresh(): Promise<void> {
    const read = await calls.read();
    prompt.value = read;
    const { state, factors = [] } = read.challenge;
    if (state === "CHALLENGE_STATE_PROVEN") return goBack(calls.finish());
    if (state !== "CHALLENGE_STATE_PENDING") {
      stage.value = "over";
      return;
    }
    const isOffered = factors.some(({ type, factorId }) => {
      const now = chosen.value;
      return now?.type === type && now.factorId === factorId;
    });
    if (!isOffered) choose(factors[0]);
    stage.value = "asking";
  }

  function choose(factor: OfferedFactor | undefined): void {
    chosen.value = factor;
    prepared.value = undefined;
    trouble.value = undefined;
  }

  /** Looks for the phone's answer until it came, or another factor is asked for. */
  async function waitForPhone(asked: Preparation): Promise<void> {
    while (prepared.value === asked && stage.value === "asking") {
      const challenge = await calls.readChallenge(challengeId()).catch(() => undefined);
      if (prepared.value !== asked) return;
      if (challenge && challenge.state !== "CHALLENGE_STATE_PENDING") return step(refresh);
      const waitS = secondsIn(challenge?.retryAfter) || LOOK_S;
      await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
    }
  }

  const prepare = async (factor: OfferedFactor): Promise<Preparation> => {
    const made = await calls.prepare(challengeId(), factor);
    prepared.value = made;
    return made;
  };

  return {
    ...{ stage, prompt, chosen, prepared, trouble, busy, choose },
    start: () => step(refresh),
    /** Proves by a typed code: `kind` is the name of the proof in the contract. */
    prove: (kind: string, value: string) =>
      step(async () => {
        await calls.verify(challengeId(), { [kind]: value });
        await refresh();
      }),
    /** Sends a code, for the first time or again. */
    send: (factor: OfferedFactor) => step(async () => void (await prepare(factor))),
    askPhone: (factor: OfferedFactor) => step(async () => void waitForPhone(await prepare(factor))),
    usePasskey: (factor: OfferedFactor) =>
      step(async () => {
        const { webauthnOptions } = await prepare(factor);
        const response = await startAuthentication({ optionsJSON: webauthnOptions as never });
        await calls.verify(challengeId(), { webauthn: response });
        await refresh();
      }),
    cancel: () => step(() => goBack(calls.cancel())),
  };
}

/** A conversation, for the parts of the page. */
export type Conversation = ReturnType<typeof createConversation>;

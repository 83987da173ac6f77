import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { createChallenges } from "../challenges/challenges.ts";
import type { createRedemption, Redeeming } from "../challenges/redemption.ts";
import { ended } from "../challenges/refusals.ts";
import type { CurrentChallenge } from "../challenges/state.ts";
import type { TermColumns } from "../challenges/terms.ts";
import type { Call } from "../core/call.ts";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { bearerId } from "../crypto/random.ts";
import type { Owner, Store, Tx } from "../db/store.ts";
import { writingAbout } from "../erasure/tombstones/tombstones.ts";
import { recordEvent } from "../events/events.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import type { Trusting } from "../trusted-devices/trusted-devices.ts";
import { isVerifierOf, promptSecrets, readPromptSecret } from "./prompt-secret.ts";
import { type PromptRow, promptRepository } from "./prompts.repository.ts";
import { isReturnAddress, withParameters } from "./return-address.ts";

/** Dependencies of prompts. */
export interface PromptOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  readonly settingsOf: SettingsOf;
  readonly challenges: ReturnType<typeof createChallenges>;
  readonly redemption: ReturnType<typeof createRedemption>;
  /** This service, as `iss`. */
  readonly issuer: string;
  /** The origin that users reach prompts at, for tenants that set none; undefined where the file says none. */
  readonly address: string | undefined;
  readonly devMode: boolean;
}

/** A prompt as a backend asks for it. */
export interface AskedPrompt {
  readonly terms: TermColumns;
  readonly returnUrl: string;
  readonly state: string;
  readonly codeChallenge: string;
  readonly locale: string;
}

/** What a backend redeems a prompt with. */
export interface RedeemingPrompt extends Redeeming {
  readonly code: string;
  readonly codeVerifier: string;
  readonly returnUrl: string;
  readonly trust: Trusting | undefined;
}

/** How long a prompt's address opens. */
const OPEN_MS = 60_000;
/** How long a code is good. */
const CODE_MS = 60_000;
/** How long a browser may go on after the time for the proof: as long as a proven challenge can be redeemed. */
const AFTER_PROOF_MS = 5 * 60_000;

const hasEnded = ({ endTime, expireTime }: PromptRow, now: Date): boolean => endTime !== null || expireTime <= now;

/** Why a prompt ends without a proof, in the words of the return address. */
const reasonOf = ({ state, row: { offers } }: CurrentChallenge): string => {
  const words: Partial<Record<CurrentChallenge["state"], string>> = {
    ...{ DENIED: "denied", LOCKED: "locked", EXPIRED: "expired" },
  };
  return words[state] ?? (offers.length === 0 ? "no_factor" : "cancelled");
};

/**
 * Hosted prompts. A prompt is opened once, by one browser; that browser alone proves its challenge, and gets the code
 * that alone redeems it. So a prompt that is passed on to somebody else brings nothing to whoever began it: the code
 * goes to the browser that proved, and the application compares `state` with what that browser has.
 */
export function createPrompts(options: PromptOptions) {
  const { store, keyring, clock, settingsOf, challenges, redemption, issuer, devMode } = options;
  const secrets = promptSecrets(keyring);

  /** Returns the row of the caller's prompt; throws CHALLENGE_EXPIRED once it has ended. */
  const findOwn = async (tx: Tx, { caller: { promptId = "" }, now }: Call): Promise<PromptRow> => {
    const row = await promptRepository(tx).find(promptId);
    if (!row || hasEnded(row, now)) throw new Refusal("CHALLENGE_EXPIRED");
    return row;
  };
  const backTo = ({ returnUrl, state }: PromptRow, parameters: Record<string, string>) =>
    withParameters(returnUrl, { ...parameters, state, iss: issuer });
  /** Whether browsers may still be sent where a prompt leads: the tenant may have taken the address off its list. */
  const returnCheck = async (tenantId: string) => {
    const settings = await settingsOf(tenantId);
    return ({ returnUrl, clientId }: PromptRow) => isReturnAddress(returnUrl, { clientId, settings, devMode });
  };
  const notListed = () => new Refusal("POLICY_FORBIDS", { metadata: { policy: "prompt.return_urls" } });

  return {
    /** Creates a prompt and its challenge in one unit. */
    async create(call: Call, owner: Owner, asked: AskedPrompt) {
      const settings = await settingsOf(owner.tenantId);
      const clientId = call.caller.subject;
      if (!isReturnAddress(asked.returnUrl, { clientId, settings, devMode })) {
        return notListed();
      }
      const address = settings.prompt.address || options.address;
      if (address === undefined) return new Refusal("POLICY_FORBIDS", { metadata: { policy: "prompt.address" } });
      const { terms, ...rest } = asked;
      const promptId = bearerId();
      const handle = secrets.make(promptId, "handle");
      const expireTime = new Date(call.now.getTime() + terms.lifetimeMs);
      const created = await challenges.create(
        call,
        owner,
        { ...terms, promptId },
        { type: undefined, factorId: "" },
        async (tx, { challengeId }) => {
          await promptRepository(tx).insert({
            ...owner,
            ...rest,
            ...{ promptId, challengeId, clientId, handleDigest: handle.digest },
            ...{
              application: call.client.application || clientId,
              ip: call.client.ip,
              userAgent: call.client.userAgent,
            },
            ...{ cookieDigest: null, codeDigest: null, codeExpireTime: null, endTime: null },
            createTime: call.now,
            expireTime: new Date(expireTime.getTime() + AFTER_PROOF_MS),
          });
        },
      );
      if (created instanceof Refusal) return created;
      const openBeforeTime = new Date(call.now.getTime() + OPEN_MS);
      return { promptId, promptUrl: `${address}/prompt/open?h=${handle.sent}`, openBeforeTime, expireTime };
    },

    /** Opens a prompt for one browser; returns its cookie, and undefined for a handle that opens nothing. */
    async open(handle: string): Promise<{ promptId: string; cookie: string } | undefined> {
      const sent = readPromptSecret(handle);
      const row = sent && (await store.read((tx) => promptRepository(tx).find(sent.promptId)));
      const now = clock();
      if (!row || !secrets.isSame(sent, "handle", row.handleDigest)) return undefined;
      if (hasEnded(row, now) || row.createTime.getTime() + OPEN_MS <= now.getTime()) return undefined;
      const cookie = secrets.make(row.promptId, "cookie");
      const writer = writingAbout(store, keyring, row, { begun: now });
      const opened = await writer.write((tx) => promptRepository(tx).open({ ...row, cookieDigest: cookie.digest }));
      return opened && { promptId: row.promptId, cookie: cookie.sent };
    },

    /** Returns the caller of a cookie; undefined for one that is of no prompt, or of one that has ended. */
    async callerOf(cookie: string, now: Date): Promise<Caller | undefined> {
      const sent = readPromptSecret(cookie);
      const row = sent && (await store.read((tx) => promptRepository(tx).find(sent.promptId)));
      if (!row || !secrets.isSame(sent, "cookie", row.cookieDigest) || hasEnded(row, now)) return undefined;
      return {
        principal: Principal.PROMPT,
        tenantId: row.tenantId,
        subject: row.userId,
        acr: "aal1",
        authTime: undefined,
        sessionId: "",
        scopes: new Set(),
        promptId: row.promptId,
      };
    },

    /** Returns the caller's prompt and its challenge. */
    find: (call: Call) =>
      call.read(async (tx) => {
        const row = await findOwn(tx, call);
        return { row, challenge: await challenges.findOwn(tx, call, row) };
      }),

    /** Makes the code of a proven prompt; returns the address that carries it. */
    async finish(call: Call): Promise<string> {
      const mayReturn = await returnCheck(call.caller.tenantId);
      return call.unit(async (tx) => {
        const row = await findOwn(tx, call);
        if (!mayReturn(row)) throw notListed();
        const { state } = await challenges.findOwn(tx, call, row);
        if (state !== "PROVEN") throw ended(state);
        const code = secrets.make(row.promptId, "code");
        const codeExpireTime = new Date(call.now.getTime() + CODE_MS);
        const given = await promptRepository(tx).giveCode({ ...row, codeDigest: code.digest, codeExpireTime });
        if (!given) throw new Refusal("CHALLENGE_EXPIRED");
        return backTo(row, { code: code.sent });
      });
    },

    /** Ends the caller's prompt and its challenge; returns the address that says why. */
    async cancel(call: Call): Promise<string> {
      const mayReturn = await returnCheck(call.caller.tenantId);
      const { row, challenge } = await this.find(call);
      await challenges.cancel(call, row);
      await call.unit((tx) => promptRepository(tx).end(row, call.now));
      if (!mayReturn(row)) throw notListed();
      return backTo(row, { error: "access_denied", mfa_error: reasonOf(challenge) });
    },

    /** Redeems what was proved in a prompt. The right code is dead afterwards, whatever else was wrong. */
    async redeem(call: Call, owner: Owner, { code, codeVerifier, returnUrl, ...asked }: RedeemingPrompt) {
      const sent = readPromptSecret(code);
      const ready = await redemption.ready(owner.tenantId);
      const mayReturn = await returnCheck(owner.tenantId);
      return call.unit(async (tx) => {
        const row = sent && (await promptRepository(tx).find(sent.promptId));
        const isTheirs = row?.tenantId === owner.tenantId && row.userId === owner.userId;
        if (!row || !isTheirs || !secrets.isSame(sent, "code", row.codeDigest)) return new Refusal("CODE_REJECTED");
        const first = await promptRepository(tx).end(row, call.now);
        if (!first) {
          const { challengeId } = row;
          await recordEvent(tx, call, { owner, type: "PROOF_REPLAYED", failureReason: "REPLAYED", challengeId });
        }
        const isInTime = row.codeExpireTime !== null && row.codeExpireTime > call.now;
        const isAsked = row.clientId === call.caller.subject && row.returnUrl === returnUrl && mayReturn(row);
        if (!first || !isInTime || !isAsked || !isVerifierOf(row.codeChallenge, codeVerifier)) {
          return new Refusal("CODE_REJECTED");
        }
        const { challengeId } = row;
        return redemption.redeemOfPrompt(
          tx,
          call,
          { ...owner, challengeId, promptId: row.promptId },
          { ...asked, ready },
        );
      });
    },
  };
}

/** Hosted prompts. */
export type Prompts = ReturnType<typeof createPrompts>;

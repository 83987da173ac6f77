import { FraudMode } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { parseIp, sourceOf } from "../../core/ip-address.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { type Budget, bearFruit, consider, type Draw, type Exceeded } from "./budgets.ts";
import type { ChannelName, OtpChannel } from "./channels.ts";
import type { OtpPurpose } from "./otp.table.ts";
import type { OtpAddressRow } from "./otp-addresses.repository.ts";
import { sendDecisionRepository } from "./otp-challenges.repository.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Protect the person at the other end; they hold whatever the tenant chose. */
const PERSONAL = {
  user: { name: "otp.user.minutes", limit: 3, windowMs: 10 * MINUTE_MS, sliceMs: 1000 },
  userDay: { name: "otp.user.day", limit: 10, windowMs: DAY_MS, sliceMs: MINUTE_MS },
  address: { name: "otp.address.day", limit: 5, windowMs: DAY_MS, sliceMs: MINUTE_MS },
} satisfies Record<string, Budget>;

/** Notices, of which somebody with an account could cause any number. Whoever got so many of a day's knows. */
const NOTICES = {
  sms: { name: "notice.sms.day", limit: 10, windowMs: DAY_MS, sliceMs: MINUTE_MS },
  email: { name: "notice.email.day", limit: 50, windowMs: DAY_MS, sliceMs: MINUTE_MS },
} satisfies Record<ChannelName, Budget>;

const personal: ReadonlySet<string> = new Set(
  [...Object.values(PERSONAL), ...Object.values(NOTICES)].map(({ name }) => name),
);

/** Protect the tenant's bill. */
const SHARED = {
  /** Ten thousand numbers in a row, of which few people ever hold two. */
  block: {
    ...{ name: "sms.block.day", limit: 20, windowMs: DAY_MS, sliceMs: 10 * MINUTE_MS },
    fruitful: { after: 5, share: 0.2 },
  },
  source: { name: "otp.source.hour", limit: 30, windowMs: HOUR_MS, sliceMs: MINUTE_MS },
} satisfies Record<string, Budget>;

/** A quarter of the tenant's day in one hour, and no country where next to nobody types the code in. */
const country = (daily: number): Budget => ({
  ...{ name: "sms.country.hour", limit: Math.max(20, Math.ceil(daily / 4)), windowMs: HOUR_MS, sliceMs: 5 * MINUTE_MS },
  fruitful: { after: 50, share: 0.2 },
});

const tenantDay = (daily: number): Budget => ({
  ...{ name: "sms.tenant.day", limit: daily, windowMs: DAY_MS, sliceMs: HOUR_MS },
});

/** What is to be sent, and for what. */
export interface Sending {
  readonly channel: OtpChannel;
  readonly purpose: OtpPurpose;
  readonly address: Pick<OtpAddressRow, "country" | "block" | "masked" | "addressDigest">;
}

/** The limits on sending codes, against bombing people and against fraud at the tenant's cost. */
export function createSendLimits(keyring: Keyring) {
  const digest = (kind: string, value: string) => keyring.digest("send-budget/v1", kind, value).toString("base64url");

  /** Of all users together, in the order in which every unit touches them. */
  const fraudDraws = ({ tenantId }: Owner, { channel, address }: Sending, { sms }: EffectiveSettings): Draw[] => {
    if (channel.name !== "sms") return [];
    const owner = { tenantId, userId: "" };
    return [
      { budget: SHARED.block, owner, key: address.block },
      { budget: country(sms.dailyBudget), owner, key: address.country },
    ];
  };

  /** Which of the budgets exceeded stop it: all, or those alone that protect people. */
  const bindingOf = (exceeded: readonly Exceeded[], { sms }: EffectiveSettings) =>
    exceeded.filter(({ name }) => personal.has(name) || sms.fraudMode !== FraudMode.RECORD_ONLY);

  const drawsOf = (
    call: Call,
    owner: Owner,
    { sending, settings }: { sending: Sending; settings: EffectiveSettings },
  ): Draw[] => {
    const shared = { tenantId: owner.tenantId, userId: "" };
    const ip = parseIp(call.client.ip);
    return [
      { budget: PERSONAL.user, owner, key: "" },
      { budget: PERSONAL.userDay, owner, key: "" },
      { budget: PERSONAL.address, owner: shared, key: sending.address.addressDigest.toString("base64url") },
      ...fraudDraws(owner, sending, settings),
      ...(ip ? [{ budget: SHARED.source, owner: shared, key: digest("source", sourceOf(ip)) }] : []),
      ...(sending.channel.name === "sms"
        ? [{ budget: tenantDay(settings.sms.dailyBudget), owner: shared, key: "" }]
        : []),
    ];
  };

  return {
    /** The key of the budget of adjacent numbers. */
    blockKey: (block: string) => (block === "" ? "" : digest("block", block)),

    /**
     * Draws from every budget, or from none and answers the refusal; the decision and its reasons are recorded either
     * way. The unit has serialised the user, and returns the refusal, so that the record stays.
     */
    async draw(
      tx: Tx,
      call: Call,
      owner: Owner,
      { sending, settings }: { sending: Sending; settings: EffectiveSettings },
    ) {
      const { exceeded, draw } = await consider(tx, drawsOf(call, owner, { sending, settings }), call.now);
      const binding = bindingOf(exceeded, settings);
      const { masked, country } = sending.address;
      await sendDecisionRepository(tx).insert({
        ...owner,
        ...{ decisionId: newId(), channel: sending.channel.name, purpose: sending.purpose, masked, country },
        decision: binding.length > 0 ? "deny" : exceeded.length > 0 ? "record" : "allow",
        reasons: exceeded.map(({ name }) => name),
        ip: call.client.ip,
        createTime: call.now,
      });
      if (binding.length === 0) {
        await draw();
        return undefined;
      }
      await recordEvent(tx, call, { owner, type: "SEND_REFUSED", factorType: sending.channel.factorType });
      const retryTime = Math.max(...binding.map(({ retryTime }) => retryTime.getTime()));
      return new Refusal("RATE_LIMITED", { retryAfterMs: retryTime - call.now.getTime() });
    },

    /**
     * Whether one more notice may go to the user by this way, and draws it; a text message counts for the tenant's day
     * as well. The unit has serialised the user.
     */
    async drawNotice(
      tx: Tx,
      owner: Owner,
      { channel, settings, now }: { channel: ChannelName; settings: EffectiveSettings; now: Date },
    ): Promise<boolean> {
      const ofTenant = { budget: tenantDay(settings.sms.dailyBudget), owner: { ...owner, userId: "" }, key: "" };
      const draws = [{ budget: NOTICES[channel], owner, key: "" }, ...(channel === "sms" ? [ofTenant] : [])];
      const { exceeded, draw } = await consider(tx, draws, now);
      const isAdmitted = bindingOf(exceeded, settings).length === 0;
      if (isAdmitted) await draw();
      return isAdmitted;
    },

    /** Notes that a code was typed in: what nobody types in is what fraud looks like. */
    typedIn: (
      tx: Tx,
      call: Call,
      owner: Owner,
      { sending, settings }: { sending: Sending; settings: EffectiveSettings },
    ) => bearFruit(tx, fraudDraws(owner, sending, settings), call.now),
  };
}

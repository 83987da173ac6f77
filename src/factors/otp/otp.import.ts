import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { createTurns } from "../../core/turns.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { type Brought, COOLING, type ImportKind, type ToBring } from "../factor.ts";
import type { createAddressBook } from "./address-book.ts";
import { type OtpChannel, TOLD_MS } from "./channels.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";

/** What importing numbers and addresses needs. */
export interface OtpImportOptions {
  readonly settingsOf: SettingsOf;
  readonly book: ReturnType<typeof createAddressBook>;
}

/** So many addresses are read and sealed before others have their turn. */
const SEALED_AT_ONCE = 16;

/** A row to be written, and what it is compared by; why there is none. */
type Plan = { readonly row: OtpAddressRow; readonly identity: string } | string;

/** Numbers, or addresses, that another system has proved. One is in force for each user. */
export const otpImport = <Case extends "phoneNumber" | "email">(
  takes: Case,
  channel: OtpChannel,
  { settingsOf, book }: OtpImportOptions,
): ImportKind<Case> => {
  const plan = async (call: Call, { owner, kind, unverified }: ToBring): Promise<Plan> => {
    if (kind.case !== "phoneNumber" && kind.case !== "email") return "no address";
    if (unverified) return "only authenticator apps can wait to be proven: have the user enroll it";
    const settings = await settingsOf(owner.tenantId);
    if (!channel.isOn(settings)) return "the tenant has this factor off";
    const destination = channel.read(kind.value, settings);
    if (!destination) return "no messages are sent to this number or address";
    const factorId = newId();
    const times = { createTime: call.now, updateTime: call.now, verifyTime: call.now };
    const row: OtpAddressRow = {
      ...{ ...owner, factorId, channel: channel.name, state: "active" },
      ...(await book.seal(owner, factorId, destination)),
      ...{ ...times, lastUseTime: null, expireTime: null },
    };
    return { row, identity: destination.identity };
  };

  return {
    takes,
    type: channel.factorType,
    async prepare(call, given, { replace }) {
      const { tenantId } = call.caller;
      const users = { tenantId, userIds: [...new Set(given.map(({ owner }) => owner.userId))] };
      const plans: Plan[] = [];
      const turn = createTurns(SEALED_AT_ONCE);
      for (const one of given) {
        plans.push(await plan(call, one));
        await turn();
      }
      return async (tx, cooling) => {
        const addresses = otpAddressRepository(tx);
        const kept = Map.groupBy(await addresses.listOf(users, channel.name), ({ userId }) => userId);
        const inUse = new Map(
          [...kept].map(([userId, rows]) => [userId, rows.filter(({ state }) => state !== "pending")]),
        );
        const rows: OtpAddressRow[] = [];
        const decide = (one: Plan): Brought => {
          if (typeof one === "string") return one;
          const { row, identity } = one;
          if (cooling.has(row.userId)) return COOLING;
          const held = inUse.get(row.userId) ?? [];
          const equal = held.find(({ addressDigest }) => book.isAddress(addressDigest, row, identity));
          if (equal) return { status: "SKIPPED", factorId: equal.factorId, active: true, counts: channel.counts };
          // Of one call none takes the place of another.
          if (held.length > 0 && (!replace || held.some((other) => rows.includes(other))))
            return "the user has another one";
          inUse.set(row.userId, [row]);
          rows.push(row);
          const status = held.length > 0 ? "REPLACED" : "IMPORTED";
          return { status, factorId: row.factorId, active: true, counts: channel.counts };
        };
        const outcomes = plans.map(decide);
        for (const { userId } of rows) {
          if (!kept.has(userId)) continue;
          const of = { tenantId, userId, channel: channel.name };
          await addresses.deletePending(of);
          await addresses.retire(of, call.now, new Date(call.now.getTime() + TOLD_MS));
        }
        await addresses.insertAll(rows);
        return outcomes;
      };
    },
  };
};

import { newId } from "../../core/id.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import type { ImportKind } from "../factor.ts";
import type { createAddressBook } from "./address-book.ts";
import { type OtpChannel, TOLD_MS } from "./channels.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";

/** What importing numbers and addresses needs. */
export interface OtpImportOptions {
  readonly settingsOf: SettingsOf;
  readonly book: ReturnType<typeof createAddressBook>;
}

/** Numbers, or addresses, that another system has proved. One is in force for each user. */
export const otpImport = (
  takes: "phoneNumber" | "email",
  channel: OtpChannel,
  { settingsOf, book }: OtpImportOptions,
): ImportKind => ({
  takes,
  type: channel.factorType,
  async prepare(call, owner, kind, { unverified, replace }) {
    if (kind.case !== "phoneNumber" && kind.case !== "email") return "no address";
    if (unverified) return "only authenticator apps can wait to be proven: have the user enrol it";
    const settings = await settingsOf(owner.tenantId);
    if (!channel.isOn(settings)) return "the tenant has this factor off";
    const destination = channel.read(kind.value, settings);
    if (!destination) return "nothing is sent to this number or address";
    const factorId = newId();
    const times = { createTime: call.now, updateTime: call.now, verifyTime: call.now };
    const row: OtpAddressRow = {
      ...{ ...owner, factorId, channel: channel.name, state: "active" },
      ...(await book.seal(owner, factorId, destination)),
      ...{ ...times, lastUseTime: null, expireTime: null },
    };
    return async (tx) => {
      const addresses = otpAddressRepository(tx);
      const of = { ...owner, channel: channel.name };
      const held = (await addresses.list(of, call.now)).filter(({ state }) => state !== "pending");
      const equal = held.find(({ addressDigest }) => book.isAddress(addressDigest, owner, destination.identity));
      if (equal) return { status: "SKIPPED", factorId: equal.factorId, active: true, counts: channel.counts };
      if (held.length > 0 && !replace) return "the user has another one";
      await addresses.deletePending(of);
      await addresses.retire(of, call.now, new Date(call.now.getTime() + TOLD_MS));
      await addresses.insert(row);
      const status = held.length > 0 ? "REPLACED" : "IMPORTED";
      return { status, factorId, active: true, counts: channel.counts };
    };
  },
});

import type { Cell, Keyring } from "../../crypto/keyring.ts";
import type { Owner, Store } from "../../db/store.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { otpChannels } from "./channels.ts";
import type { Destination } from "./destination.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";

const cellOf = ({ tenantId, userId }: Owner, factorId: string): Cell => ({
  tenantId,
  userId,
  row: factorId,
  column: "otp_addresses.sealed_address",
});

const DIGEST = "otp-address/v1";
const BLOCK = "otp-block/v1";

/** Whether the tenant sends there at present. */
const isSentTo = (row: OtpAddressRow, settings: EffectiveSettings): boolean => {
  const { isOn, refusedBy } = otpChannels[row.channel];
  return isOn(settings) && refusedBy(row, settings) === undefined;
};

/** How numbers and addresses are kept: sealed for sending, as a digest for comparing, masked for showing. */
export function createAddressBook({ keyring }: { readonly keyring: Keyring }) {
  const open = async (row: OtpAddressRow): Promise<string> => {
    const plain = await keyring.open(row.sealedAddress, cellOf(row, row.factorId));
    const address = plain.toString();
    plain.fill(0);
    return address;
  };

  return {
    /** The whole number or address of a row, in whatever state. Outside of units. */
    open,

    /** The columns that hold an address. Outside of units. */
    async seal(owner: Owner, factorId: string, { address, identity, masked, country, block }: Destination) {
      return {
        sealedAddress: await keyring.seal(Buffer.from(address), cellOf(owner, factorId)),
        addressDigest: keyring.digest(DIGEST, owner.tenantId, identity),
        masked,
        country,
        block: block && keyring.digest(BLOCK, owner.tenantId, block).toString("base64url"),
      };
    },

    /** Whether a digest is that of an address. */
    isAddress: (digest: Buffer, { tenantId }: Owner, identity: string) =>
      keyring.matches(digest, DIGEST, tenantId, identity),

    /**
     * The address of a binding, if codes may go there: in force, or pending for its own, and one that the tenant sends
     * to. Outside of units.
     */
    async find(store: Store, owner: Owner, factorId: string, settings: EffectiveSettings): Promise<string | undefined> {
      const row = await store.read((tx) => otpAddressRepository(tx).find({ ...owner, factorId }));
      return row && (row.state === "active" || row.state === "pending") && isSentTo(row, settings)
        ? open(row)
        : undefined;
    },

    /**
     * Where a notice of that time goes: every proven address that the tenant sends to, and those that were taken out of
     * force then or later.
     */
    async listTold(store: Store, owner: Owner, { since, settings }: { since: Date; settings: EffectiveSettings }) {
      const rows = await store.read((tx) => otpAddressRepository(tx).listTold(owner, since));
      return Promise.all(
        rows
          .filter((row) => isSentTo(row, settings))
          .map(async (row) => ({ factorId: row.factorId, channel: row.channel, address: await open(row) })),
      );
    },
  };
}

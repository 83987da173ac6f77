import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import { type Compose, letterProvider } from "./carrier.ts";
import { type CarrierOptions, openCarrier } from "./carriers.ts";
import { inboxProviders } from "./inbox.ts";
import { type NoticeOptions, noticeProvider } from "./notices.ts";
import type { Provider } from "./provider.ts";
import { openPushCarrier, type PushCarrierNeeds, type PushCarrierOptions } from "./push-carriers.ts";
import { type PushRegister, pushProvider } from "./push-provider.ts";

/** What the features provide: addresses and texts of messages. */
export interface MailRoom extends Pick<NoticeOptions, "listTold" | "isCarried" | "limitNotices"> {
  readonly compose: Compose;
  /** The register of phones, and the tenants' keys for Web Push. */
  readonly phones: PushRegister & Pick<PushCarrierNeeds, "vapidKeyOf">;
}

/** Dependencies of the providers. */
export interface ProviderOptions extends MailRoom {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Providers by channel, in the order in which they are asked. */
  readonly carriers: {
    readonly email?: readonly CarrierOptions[];
    readonly sms?: readonly CarrierOptions[];
    readonly push?: readonly PushCarrierOptions[];
  };
  /** Whether messages of channels without a provider go to dev mode's inbox. */
  readonly devMode: boolean;
}

/** Makes every provider that the settings name. */
export async function openProviders(options: ProviderOptions): Promise<readonly Provider[]> {
  const { carriers, clock, compose, devMode, phones } = options;
  const letters = async (channel: "sms" | "email") =>
    Promise.all(
      (carriers[channel] ?? []).map(async (carrier) =>
        letterProvider(channel, await openCarrier(carrier, clock), compose),
      ),
    );
  const toPhones = await Promise.all(
    (carriers.push ?? []).map(async (carrier) =>
      pushProvider(await openPushCarrier(carrier, { clock, vapidKeyOf: phones.vapidKeyOf }), phones),
    ),
  );
  const ways = [...(await letters("sms")), ...(await letters("email")), ...toPhones];
  const carried: ReadonlySet<Channel> = new Set(ways.map(({ channel }) => channel));
  return [noticeProvider(options), ...ways, ...(devMode ? inboxProviders(carried) : [])];
}

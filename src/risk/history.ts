import { clientName } from "../core/client-name.ts";
import type { ClientOrigin } from "../core/client-origin.ts";
import { parseIp, sourceOf, textOfIp } from "../core/ip-address.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Owner, Tx } from "../db/store.ts";
import type { RiskFacts } from "./assessment.ts";
import { distanceKm, type Locations, type Place } from "./locations.ts";
import { riskHistoryRepository } from "./risk-histories.repository.ts";
import type { History, Seen } from "./risk-histories.table.ts";

/** What one log-in looks like: what its user's history gets if it goes through. */
export interface Look {
  /** Empty where nothing is known of the device. */
  readonly device: string;
  readonly network: string;
  /** Null without a file of places. */
  readonly place: Place | null;
}

/** What a log-in says of where it comes from. */
export interface LogInOrigin {
  readonly client: Pick<ClientOrigin, "ip" | "userAgent">;
  /** The caller's fingerprint of the client; empty for none. */
  readonly fingerprint: string;
}

const DAY_MS = 24 * 3600 * 1000;
const HOUR_MS = 3600 * 1000;
/** How long something is known that does not come again. */
const KEPT_MS = 180 * DAY_MS;
const MOST = 20;
/** Within this, addresses of one city are placed differently. */
const NEAR_KM = 300;

const networkOf = (ip: string): string => {
  const parsed = parseIp(ip);
  if (!parsed) return "";
  // Of IPv4 the provider's block, of IPv6 the subscriber's.
  return parsed.bytes.length === 4 ? textOfIp(parsed.bytes.with(3, 0)) : sourceOf(parsed);
};

/** Kilometres an hour from the last place to this; null where one is not known. */
function speedOf(last: History["last"] | undefined, point: Place["point"], now: Date): number | null {
  if (!last || !point) return null;
  const km = distanceKm(last.point, point);
  // Also of a clock that was set back.
  const hours = Math.max((now.getTime() - last.time) / HOUR_MS, 1 / 60);
  return km < NEAR_KM ? 0 : km / hours;
}

/** What tells a user's usual log-ins from others: digests of devices and networks, countries, the last place. */
export function createHistories({
  keyring,
  locations,
}: {
  readonly keyring: Pick<Keyring, "digest" | "digests">;
  readonly locations: Locations | undefined;
}) {
  const key = (of: "device" | "network", { tenantId, userId }: Owner, value: string) =>
    [`risk-${of}/v1`, tenantId, userId, value] as const;
  const deviceOf = ({ client: { userAgent }, fingerprint }: LogInOrigin) => {
    if (fingerprint !== "") return `fingerprint ${fingerprint}`;
    return userAgent === "" ? "" : `client ${clientName(userAgent) || userAgent}`;
  };
  const digest = (of: "device" | "network", owner: Owner, value: string) =>
    value === "" ? "" : keyring.digest(...key(of, owner, value)).toString("base64url");
  /** By every pepper: what was seen under an older one is still known. */
  const isSeen = (seen: readonly Seen[], of: "device" | "network", owner: Owner, value: string) =>
    value !== "" &&
    keyring.digests(...key(of, owner, value)).some((found) => seen.some((s) => s.key === found.toString("base64url")));

  return {
    /** What is new about a log-in, and what it looks like. */
    async compare(tx: Tx, owner: Owner, origin: LogInOrigin, now: Date) {
      const row = await riskHistoryRepository(tx).find(owner);
      const [device, network] = [deviceOf(origin), networkOf(origin.client.ip)];
      const place = locations?.find(origin.client.ip) ?? null;
      const history = row?.history;
      const told = (isKnown: boolean): "known" | "first" | "new" => {
        if (!history) return "first";
        return isKnown ? "known" : "new";
      };
      const facts: Pick<RiskFacts, "device" | "network" | "country" | "countryCode" | "travelKmh" | "inactiveDays"> = {
        device: told(history !== undefined && isSeen(history.devices, "device", owner, device)),
        network: told(history !== undefined && isSeen(history.networks, "network", owner, network)),
        country: place ? told(history?.countries.some((seen) => seen.key === place.country) ?? false) : "absent",
        countryCode: place?.country ?? "",
        travelKmh: speedOf(history?.last, place?.point, now),
        inactiveDays: row ? Math.max(0, now.getTime() - row.lastTime.getTime()) / DAY_MS : 0,
      };
      const look: Look = {
        device: digest("device", owner, device),
        network: digest("network", owner, network),
        place,
      };
      return { facts, look };
    },

    /** Adds a log-in that went through. Two at the same moment may lose one: then it is new once more. */
    async remember(tx: Tx, owner: Owner, { device, network, place }: Look, now: Date): Promise<void> {
      const histories = riskHistoryRepository(tx);
      const before = (await histories.find(owner))?.history;
      const add = (seen: readonly Seen[] = [], value: string | undefined): Seen[] =>
        [
          ...(value === undefined ? [] : [{ key: value, time: now.getTime() }]),
          ...seen.filter((one) => one.key !== value && one.time > now.getTime() - KEPT_MS),
        ].slice(0, MOST);
      await histories.put({
        ...owner,
        lastTime: now,
        history: {
          devices: add(before?.devices, device || undefined),
          networks: add(before?.networks, network || undefined),
          countries: add(before?.countries, place?.country),
          last: place?.point ? { point: place.point, time: now.getTime() } : (before?.last ?? null),
        },
      });
    },
  };
}

/** What tells a user's usual log-ins from others. */
export type Histories = ReturnType<typeof createHistories>;

import { readFile } from "node:fs/promises";
import { type CityResponse, Reader } from "mmdb-lib";

/** Where an address is, as far as the file says. */
export interface Place {
  /** Two letters (ISO 3166-1); empty where it is not known. */
  readonly country: string;
  /** Degrees, to one decimal; undefined where the file has countries only. */
  readonly point: readonly [latitude: number, longitude: number] | undefined;
}

/** Where addresses are. */
export interface Locations {
  /** The place of an address; one that is not listed is nowhere. */
  find(ip: string): Place;
  /** The place of an address for people, in English: "Berlin, Germany"; empty where it is not known. */
  describe(ip: string): string;
}

const rounded = (degrees: number) => Math.round(degrees * 10) / 10;

/** Reads a MaxMind database of cities or countries (`.mmdb`). */
export function readLocations(file: Buffer): Locations {
  const reader = new Reader<CityResponse>(file);
  const recordOf = (ip: string) => {
    try {
      return reader.get(ip);
    } catch {
      // An IPv6 address in a file of IPv4, or a record that is damaged.
      return null;
    }
  };
  return {
    find(ip) {
      const found = recordOf(ip);
      const { latitude, longitude } = found?.location ?? {};
      const isKnown = Number.isFinite(latitude) && Number.isFinite(longitude);
      return {
        country: found?.country?.iso_code ?? "",
        point: isKnown ? [rounded(latitude ?? 0), rounded(longitude ?? 0)] : undefined,
      };
    },
    describe(ip) {
      const { city, country } = recordOf(ip) ?? {};
      return [city?.names?.en, country?.names?.en ?? country?.iso_code].filter(Boolean).join(", ");
    },
  };
}

/** Reads the file that the settings name, if they name one; throws with its name for one that cannot be used. */
export async function openLocations(path: string | undefined): Promise<Locations | undefined> {
  if (path === undefined) return undefined;
  try {
    return readLocations(await readFile(path));
  } catch (error) {
    throw new Error(`the locations in ${path} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

const EARTH_KM = 6371;
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** Kilometres between two points, along the earth's surface (haversine). */
export function distanceKm(a: readonly [number, number], b: readonly [number, number]): number {
  const [aLat, aLon, bLat, bLon] = [...a, ...b].map(radians) as [number, number, number, number];
  const half = Math.sin((bLat - aLat) / 2) ** 2 + Math.cos(aLat) * Math.cos(bLat) * Math.sin((bLon - aLon) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.sqrt(Math.min(1, half)));
}

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { distanceKm, openLocations, readLocations } from "../../src/risk/locations.ts";
import { locationsFile } from "../support/fakes/locations.ts";

const BERLIN = [52.52, 13.405] as const;
const NEW_YORK = [40.7128, -74.006] as const;

describe("a file of places", () => {
  test("says where an address is, as far as it knows", () => {
    const locations = readLocations(
      locationsFile([
        { cidr: "203.0.113.0/24", country: "DE", point: BERLIN },
        { cidr: "198.51.100.0/25", country: "US" },
      ]),
    );
    expect(locations.find("203.0.113.7")).toEqual({ country: "DE", point: [52.5, 13.4] });
    expect(locations.find("198.51.100.7")).toEqual({ country: "US", point: undefined });
    expect(locations.describe("198.51.100.7")).toBe("US");
    for (const ip of ["198.51.100.200", "10.0.0.1", "2001:db8::1", "", "x"]) {
      expect(locations.find(ip), ip).toEqual({ country: "", point: undefined });
      expect(locations.describe(ip), ip).toBe("");
    }
  });

  test("stops the start with its name when it cannot be used", async () => {
    expect(await openLocations(undefined)).toBeUndefined();
    const folder = await mkdtemp(join(tmpdir(), "mfa-locations-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "city.mmdb");
    await expect(openLocations(path)).rejects.toThrow(path);
    await writeFile(path, "no database");
    await expect(openLocations(path)).rejects.toThrow(path);
    await writeFile(path, locationsFile([{ cidr: "203.0.113.0/24", country: "DE" }]));
    expect((await openLocations(path))?.find("203.0.113.1").country).toBe("DE");
  });
});

test("distances are those along the earth's surface", () => {
  expect(distanceKm(BERLIN, NEW_YORK)).toBeCloseTo(6385, -1);
  expect(distanceKm(BERLIN, BERLIN)).toBe(0);
  expect(distanceKm([0, 0], [0, 180])).toBeCloseTo(Math.PI * 6371, 3);
  expect(distanceKm([90, 0], [-90, 0])).toBeCloseTo(Math.PI * 6371, 3);
});

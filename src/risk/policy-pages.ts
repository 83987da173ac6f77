import { type Position, pageOf } from "../db/page.ts";
import { LEVELS } from "./requirement.ts";
import type { LevelPolicy } from "./risk-policies.ts";

/** A page of the levels, lowest first: the place of one is its rank, where other lists have a time. */
export const pageOfLevels = (policies: readonly LevelPolicy[], position: Position, size: number) =>
  pageOf(policies, position, size, ({ level }) => ({ time: new Date(1 + LEVELS.indexOf(level)), id: level }));

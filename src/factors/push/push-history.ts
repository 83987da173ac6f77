import type { Call } from "../../core/call.ts";
import type { Owner } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import { isSameDigest } from "../../core/session-digest.ts";
import type { Position } from "../../db/page.ts";
import type { Tx } from "../../db/store.ts";
import type { ChallengeOutcomes } from "../factor.ts";
import {
  type PushChallengeRow,
  type PushKey,
  pushChallengeRepository,
  type ShownState,
} from "./push-challenges.repository.ts";
import { pushDeviceRepository } from "./push-devices.repository.ts";
import { hasPaired, sessionOf } from "./push-session.ts";
import { standingOf } from "./push-standing.ts";
import { pushStatisticsRepository } from "./push-statistics.repository.ts";

/** A request and where it stands. */
export interface Standing {
  readonly row: PushChallengeRow;
  readonly state: ShownState;
}

/** A page as it is asked for; an empty state stands for all. */
export interface HistoryPage {
  readonly state: ShownState | "";
  readonly position: Position;
  readonly size: number;
}

/** A window of time; undefined for where it does not say. */
export interface AskedWindow {
  readonly start: Date | undefined;
  readonly end: Date | undefined;
}

const DAY_MS = 24 * 3600 * 1000;
/** How long requests are kept: as long as statistics look back. */
export const KEPT_MS = 90 * DAY_MS;

/** What became of requests. */
export function createHistory(challenges: ChallengeOutcomes) {
  const shown = async (tx: Tx, row: PushChallengeRow, now: Date): Promise<Standing> => ({
    row,
    state: await standingOf(tx, row, challenges, now),
  });

  /** Leaves out what has ended since it was written otherwise. */
  const all = async (tx: Tx, rows: readonly PushChallengeRow[], state: ShownState | "", now: Date) => {
    const found: Standing[] = [];
    for (const row of rows) found.push(await shown(tx, row, now));
    return state === "" ? found : found.filter((one) => one.state === state);
  };

  return {
    /** The request of a user's session. */
    async ofSession(tx: Tx, call: Call, key: PushKey): Promise<Standing> {
      const row = await pushChallengeRepository(tx).find(key);
      const isOwn = row?.createdBy === "" && isSameDigest(row.sessionDigest, sessionOf(call.caller));
      if (!row || !isOwn) throw new Refusal("NOT_FOUND");
      return shown(tx, row, call.now);
    },

    /** The request that a backend made, or its user did. */
    async forBackend(tx: Tx, call: Call, key: PushKey): Promise<Standing> {
      const row = await pushChallengeRepository(tx).find(key);
      if (!row || !["", call.caller.subject].includes(row.createdBy)) throw new Refusal("NOT_FOUND");
      return shown(tx, row, call.now);
    },

    async list(tx: Tx, call: Call, owner: Owner, { state, ...page }: HistoryPage) {
      const { rows, next } = await pushChallengeRepository(tx).list(owner, state, { ...page, now: call.now });
      return { found: await all(tx, rows, state, call.now), next };
    },

    /** What waits for the calling device. */
    async listPending(tx: Tx, call: Call, owner: Owner, page: Omit<HistoryPage, "state">) {
      const deviceId = call.caller.deviceId ?? "";
      const device = await pushDeviceRepository(tx).find({ ...owner, deviceId }, call.now);
      const asked = { ...owner, deviceId };
      const { rows, next } = await pushChallengeRepository(tx).listPending(asked, { ...page, now: call.now });
      const foreign = rows.filter(({ sessionDigest }) => !hasPaired(sessionDigest, device));
      return { found: await all(tx, foreign, "pending", call.now), next };
    },

    async listOfTenant(
      tx: Tx,
      call: Call,
      { userId, start, end, state, ...page }: HistoryPage & AskedWindow & { userId: string },
    ) {
      const { tenantId } = call.caller;
      const window = {
        tenantId,
        userId,
        start: start ?? new Date(0),
        end: end ?? new Date(call.now.getTime() + DAY_MS),
      };
      const { rows, next } = await pushChallengeRepository(tx).listOfTenant(window, state, { ...page, now: call.now });
      return { found: await all(tx, rows, state, call.now), next };
    },

    /** Counts the requests that were made in a window. */
    async count(tx: Tx, call: Call, asked: AskedWindow) {
      const { tenantId } = call.caller;
      const end = asked.end ?? call.now;
      const start = asked.start ?? new Date(end.getTime() - DAY_MS);
      const length = end.getTime() - start.getTime();
      if (!(length > 0 && length <= KEPT_MS)) {
        return new Refusal("INVALID_FIELD", { metadata: { field: "start_time" } });
      }
      const window = { tenantId, start, end };
      const requests = pushStatisticsRepository(tx);
      const groups = await requests.countByState(window);
      const expired = await requests.countExpired(window, call.now);
      const sum = (...states: PushChallengeRow["state"][]) =>
        groups.filter(({ state }) => states.includes(state)).reduce((total, group) => total + group.count, 0);
      return {
        ...{ start, end, expired },
        total: groups.reduce((total, group) => total + group.count, 0),
        pending: sum("pending") - expired,
        approved: sum("approved", "redeemed"),
        denied: sum("denied"),
        failed: sum("failed"),
        cancelled: sum("cancelled"),
        blocked: await requests.countBlocked(window),
        reasons: groups.flatMap(({ denyReason: reason, count }) => (reason === "" ? [] : [{ reason, count }])),
        medianMs: await requests.medianAnswerMs(window),
      };
    },
  };
}

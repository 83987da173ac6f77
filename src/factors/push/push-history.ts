import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import { isSameDigest } from "../../core/session-digest.ts";
import type { Position } from "../../db/page.ts";
import type { Owner, Tx } from "../../db/store.ts";
import type { ChallengeOutcomes } from "../factor.ts";
import {
  type PushChallengeRow,
  type PushKey,
  pushChallengeRepository,
  type ShownState,
  type Window,
} from "./push-challenges.repository.ts";
import { pushDeviceRepository } from "./push-devices.repository.ts";
import { hasPaired, sessionOf } from "./push-session.ts";
import { mayStand, pushStateOf } from "./push-standing.ts";
import { countRequests } from "./push-statistics.ts";

/** A request and where it stands. */
export interface PushRequestState {
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
/** Requests that one unit reads: others must not wait for a long list. */
const WINDOW = 250;
/** Units that one list looks through before it answers with what it has, and where to go on. */
const WINDOWS = 50;
/** How long requests are kept: as long as statistics look back. */
export const KEPT_MS = 90 * DAY_MS;

/** What became of requests. */
export function createHistory(challenges: ChallengeOutcomes) {
  const shown = async (tx: Tx, row: PushChallengeRow, now: Date): Promise<PushRequestState> => ({
    row,
    state: await pushStateOf(tx, row, challenges, now),
  });

  /** Those that stand so: what has ended since it was written otherwise is left out. */
  const among = async (tx: Tx, rows: readonly PushChallengeRow[], state: ShownState | "", now: Date) => {
    const found: PushRequestState[] = [];
    for (const row of rows) {
      if (!mayStand(row, state, now)) continue;
      const one = await shown(tx, row, now);
      if (state === "" || one.state === state) found.push(one);
    }
    return found;
  };

  /** A page of a window's, newest first; shorter than asked for where few of very many stand so. */
  const page = async (call: Call, window: Window & { userId: string }, { state, size, ...asked }: HistoryPage) => {
    const found: PushRequestState[] = [];
    let position: Position | undefined = asked.position;
    for (let n = 0; n < WINDOWS && position !== undefined && found.length < size; n += 1) {
      // Few at a time: each may be shown, and the last one that was looked at is where the next page goes on.
      const part: { position: Position; size: number } = {
        position,
        size: state === "" ? size - found.length : WINDOW,
      };
      const [more, next]: readonly [readonly PushRequestState[], Position | undefined] = await call.read(async (tx) => {
        const { rows, next } = await pushChallengeRepository(tx).list(window, part);
        return [await among(tx, rows, state, call.now), next] as const;
      });
      const room = size - found.length;
      found.push(...more.slice(0, room));
      const last = more.length > room ? more[room - 1] : undefined;
      position = last ? { time: last.row.createTime, id: last.row.rowId } : next;
    }
    return { found, next: position };
  };

  return {
    /** The request of a user's session. */
    async ofSession(tx: Tx, call: Call, key: PushKey): Promise<PushRequestState> {
      const row = await pushChallengeRepository(tx).find(key);
      const isOwn = row?.createdBy === "" && isSameDigest(row.sessionDigest, sessionOf(call.caller));
      if (!row || !isOwn) throw new Refusal("NOT_FOUND");
      return shown(tx, row, call.now);
    },

    /** The request that a backend made, or its user did. */
    async forBackend(tx: Tx, call: Call, key: PushKey): Promise<PushRequestState> {
      const row = await pushChallengeRepository(tx).find(key);
      if (!row || !["", call.caller.subject].includes(row.createdBy)) throw new Refusal("NOT_FOUND");
      return shown(tx, row, call.now);
    },

    /** A page of a user's. */
    list: (call: Call, owner: Owner, asked: HistoryPage) =>
      page(call, { ...owner, start: new Date(0), end: new Date(call.now.getTime() + DAY_MS) }, asked),

    /** What waits for the calling device. */
    async listPending(tx: Tx, call: Call, owner: Owner, page: Omit<HistoryPage, "state">) {
      const deviceId = call.caller.deviceId ?? "";
      const device = await pushDeviceRepository(tx).find({ ...owner, deviceId }, call.now);
      const asked = { ...owner, deviceId };
      const { rows, next } = await pushChallengeRepository(tx).listPending(asked, { ...page, now: call.now });
      const foreign = rows.filter(({ sessionDigest }) => !hasPaired(sessionDigest, device));
      return { found: await among(tx, foreign, "pending", call.now), next };
    },

    /** A page of a tenant's; an empty user stands for all. */
    listOfTenant: (call: Call, { userId, start, end, ...asked }: HistoryPage & AskedWindow & { userId: string }) =>
      page(
        call,
        {
          ...{ tenantId: call.caller.tenantId, userId, start: start ?? new Date(0) },
          end: end ?? new Date(call.now.getTime() + DAY_MS),
        },
        asked,
      ),

    /** Counts the requests that were made in a window. */
    async count(call: Call, asked: AskedWindow) {
      const { tenantId } = call.caller;
      const end = asked.end ?? call.now;
      const start = asked.start ?? new Date(end.getTime() - DAY_MS);
      const length = end.getTime() - start.getTime();
      if (!(length > 0 && length <= KEPT_MS)) {
        return new Refusal("INVALID_FIELD", { metadata: { field: "start_time" } });
      }
      const counts = await countRequests(call, { tenantId, start, end });
      return { ...counts, start, end };
    },
  };
}

import { randomUUID } from "node:crypto";
import pg from "pg";
import type { createAnnouncements } from "./announcements.ts";
import { translate } from "./postgres-client.ts";

const CHANNEL = "mfa_changes";
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** The time after which a silently broken connection is detected. */
const SIGN_OF_LIFE_MS = 15_000;

/** Longer than a server continues a commit whose client has given up. */
const OWN_MS = 60_000;

/** A number of each opened store, by which it tells its own announcements from those of other instances. */
const newOrigin = () => randomUUID().slice(0, 8);

/**
 * Announcements between the instances of one PostgreSQL, by LISTEN and NOTIFY on a connection of its own. It is opened
 * for the first listener. When it breaks it is opened again and the listeners' `onGap` is called, since PostgreSQL
 * keeps no notifications for absent clients.
 */
export function createNotifications(
  { url, connectTimeoutMs = 3_000 }: { readonly url: string; readonly connectTimeoutMs?: number },
  announcements: ReturnType<typeof createAnnouncements>,
) {
  const origin = newOrigin();
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let state: "idle" | "open" | "closed" = "idle";
  let pauseMs = FIRST_PAUSE_MS;

  let hearsOwnUntil = 0;

  const receive = ({ payload = "" }: pg.Notification) => {
    const [from, topic = ""] = payload.split(" ", 2);
    if (from !== origin || performance.now() < hearsOwnUntil) announcements.tell([topic]);
  };

  const later = (ms: number, what: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
    timer.unref();
  };

  /** Closes a connection, once, and opens another after a pause. */
  const drop = (lost: pg.Client) => {
    if (client !== lost) return;
    client = undefined;
    lost.end().catch(() => {});
    if (state !== "open") return;
    later(pauseMs, connect);
    pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
  };

  const watchOver = (own: pg.Client) => {
    later(SIGN_OF_LIFE_MS, () => {
      own.query("SELECT 1").then(
        () => watchOver(own),
        () => drop(own),
      );
    });
  };

  function connect(): void {
    const own = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: connectTimeoutMs,
      keepAlive: true,
    });
    client = own;
    own.on("error", () => drop(own));
    own.on("end", () => drop(own));
    own.on("notification", receive);
    own
      .connect()
      .then(() => own.query(`LISTEN ${CHANNEL}`))
      .then(() => {
        if (client !== own) return;
        pauseMs = FIRST_PAUSE_MS;
        announcements.tellOfGap();
        watchOver(own);
      })
      .catch(() => drop(own));
  }

  return {
    /** Begins to hear of other instances. */
    open(): void {
      if (state !== "idle") return;
      state = "open";
      connect();
    },

    /** Tells other instances, by the transaction that the client is in: of one that rolls back they hear nothing. */
    async send(sender: pg.PoolClient, topics: Iterable<string>): Promise<void> {
      const payloads = [...topics].map((topic) => `${origin} ${topic}`);
      try {
        await sender.query(`SELECT pg_notify('${CHANNEL}', p) FROM unnest($1::text[]) AS p`, [payloads]);
      } catch (error) {
        throw translate(error, false);
      }
    },

    /**
     * Has our own announcements heard for a while like those of others: of a commit that was not answered in time the
     * listeners hear when it takes effect. Those of other units they hear twice, which does no harm.
     */
    hearOwn(): void {
      hearsOwnUntil = performance.now() + OWN_MS;
    },

    async close(): Promise<void> {
      state = "closed";
      clearTimeout(timer);
      const last = client;
      client = undefined;
      await last?.end().catch(() => {});
    },
  };
}

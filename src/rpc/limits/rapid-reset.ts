import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Connection, Connections, PeerKind } from "./connections.ts";
import type { OnLimit } from "./listener-limits.ts";
import type { Sources } from "./sources.ts";

/** Cancelled calls allowed on a connection: as a burst, and a second in the long run. */
interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * Limits of cancelled calls (rapid reset, CVE-2023-44487): each costs us more than its peer. A backend whose deadlines
 * all pass at once, before a slow database, cancels as many as it made.
 */
const ALLOWANCES: Readonly<Record<PeerKind, Allowance>> = {
  stranger: { burst: 200, perSecond: 33 },
  user: { burst: 200, perSecond: 33 },
  backend: { burst: 10_000, perSecond: 2_000 },
};
/** For strangers at a known backend's address, while another address would get no connection at all. */
const ON_PROBATION: Allowance = { burst: 20, perSecond: 3 };
/** Further calls dropped while the peer is being recognised, or the connection ends. */
const MEANWHILE = 2_000;

/** Node's own limit, which does not distinguish peers and answers INTERNAL: above all of ours. */
export const RESETS = { streamResetBurst: 20_000, streamResetRate: 10_000 };

/** Recognises peers, and reports closed connections. */
export interface PeerReports {
  /** Returns the kind of peer of a credential from an address, for a connection without a verified one. */
  readonly recognise: (authorization: string, address: string) => Promise<PeerKind>;
  /** Called for each closed connection, with its kind of peer. */
  readonly onCut: (standing: PeerKind) => void;
}

/** For a process that verifies no credentials. */
export const NO_REPORTS: PeerReports = { recognise: async () => "stranger", onCut: () => {} };

/** Dependencies of the limit. */
export interface ResetOptions extends PeerReports {
  readonly connections: Connections;
  readonly sources: Pick<Sources, "cut" | "isCut">;
  readonly onLimit: OnLimit;
}

/** The cancelled calls of one connection. */
class Resets {
  readonly #session: ServerHttp2Session;
  readonly #connection: Connection;
  readonly #options: ResetOptions;
  #left: number;
  #at = performance.now();
  #standing: PeerKind = "stranger";
  #isAsking = false;
  #isEnding = false;
  readonly #isProbed: boolean;

  constructor(session: ServerHttp2Session, connection: Connection, options: ResetOptions) {
    this.#session = session;
    this.#connection = connection;
    this.#options = options;
    this.#isProbed = options.sources.isCut(connection.address);
    this.#left = this.#allowance.burst;
  }

  get #allowance(): Allowance {
    const { standing } = this.#connection;
    return standing === "stranger" && this.#isProbed ? ON_PROBATION : ALLOWANCES[standing];
  }

  /** Whether the connection accepts no further call. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  count(): void {
    this.#look();
    const { burst, perSecond } = this.#allowance;
    const now = performance.now();
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond) - 1;
    this.#at = now;
    if (this.#left >= 0) return;
    const { shown } = this.#connection;
    if (this.#left < -MEANWHILE) this.#session.destroy();
    else if (this.#isEnding || this.#isAsking) return;
    else if (shown === undefined) this.#end();
    else void this.#ask(shown);
  }

  /** Once a connection is recognised as a backend's, earlier cancellations do not count. */
  #look(): void {
    const { standing } = this.#connection;
    if (standing === this.#standing) return;
    this.#standing = standing;
    if (standing === "backend") this.#left = this.#allowance.burst;
  }

  async #ask(authorization: string): Promise<void> {
    this.#isAsking = true;
    this.#connection.shown = undefined;
    const standing = await this.#options.recognise(authorization, this.#connection.address);
    this.#isAsking = false;
    this.#connection.rise(standing);
    this.#look();
    if (this.#left < 0) this.#end();
  }

  #end(): void {
    const { standing, address } = this.#connection;
    const { onLimit, onCut, sources } = this.#options;
    this.#isEnding = true;
    onCut(standing);
    if (standing === "stranger") {
      onLimit("resets");
      sources.cut(address);
      this.#session.destroy();
    } else {
      // Sends GOAWAY: running calls are answered, the next one needs a new connection.
      onLimit(`resets_${standing}`);
      this.#session.close();
    }
  }
}

/**
 * Ends connections whose peer takes back calls in bulk: a stranger's at once, and its source waits; a user's or a
 * backend's by a GOAWAY. What it answers counts a stream, and is false when no call is to begin on it.
 */
export function limitResets(
  server: Pick<Http2Server, "on">,
  options: ResetOptions,
): (stream: ServerHttp2Stream, authorization: string | undefined) => boolean {
  const bySession = new WeakMap<ServerHttp2Session, Resets>();
  const resetsOf = (session: ServerHttp2Session): Resets => {
    const known = bySession.get(session);
    if (known) return known;
    const made = new Resets(session, options.connections.of(session), options);
    bySession.set(session, made);
    return made;
  };
  server.on("session", resetsOf);
  return (stream, authorization) => {
    const { session } = stream;
    if (!session) return false;
    const resets = resetsOf(session as ServerHttp2Session);
    const connection = options.connections.of(session as ServerHttp2Session);
    if (authorization !== undefined && connection.standing === "stranger") connection.shown = authorization;
    if (stream.closed || stream.destroyed) {
      resets.count();
      return false;
    }
    if (resets.isEnding) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return false;
    }
    stream.once("close", () => {
      // A connection that breaks takes its calls along; that is nobody's doing.
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR && !session.destroyed) resets.count();
    });
    return true;
  };
}

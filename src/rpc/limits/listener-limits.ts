/** No request or reply is larger, on any listener. Synchronised data, the largest, has at most 48 KiB. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** What a listener allows to peers, known and unknown. */
export interface ListenerLimits {
  /** Open sockets; further ones are refused at once. */
  readonly maxConnections: number;
  /** Open sockets from one IPv4 address or IPv6 /64; not asked behind a proxy. */
  readonly maxConnectionsPerSource: number;
  /** Calls at a time on one connection. */
  readonly maxStreams: number;
  /** Open streams that need no credential: health's Watch, and reflection. */
  readonly maxAnonymousStreams: number;
  /** The same from one IPv4 address or IPv6 /64. */
  readonly maxAnonymousStreamsPerSource: number;
  /** From accepting a socket to its first call, TLS handshake and HTTP/2 preface included. */
  readonly firstCallMs: number;
  /** How long a peer may leave a socket or a stream half open after our side has ended. */
  readonly lingerMs: number;
  /** Names and values of a call's headers, 32 bytes more for each (the measure of RFC 9113). */
  readonly maxMetadataBytes: number;
  /** From a call's headers to its whole request; for streaming RPCs, to the first whole message. */
  readonly arrivalMs: number;
  /** How long the work of a unary call may take, whatever deadline its client asks for. */
  readonly maxWorkMs: number;
  /** The life of a unary call's stream: the work and a slow reader. */
  readonly maxUnaryMs: number;
  /** The life of a stream. */
  readonly maxStreamMs: number;
  /** Unary calls that the process holds, over all listeners, from their headers to their end. */
  readonly maxOpenCalls: number;
  /** Streams behind a credential that the process holds. */
  readonly maxOpenStreams: number;
  /** How long a call waits for its turn once there has been more to do than can be done for a second. */
  readonly maxQueueMs: number;
  /** For how long calls are still taken after the word to stop, while health says NOT_SERVING already. */
  readonly noticeMs: number;
}

/** The limits in force where nobody asks for others. */
export const DEFAULT_LIMITS: ListenerLimits = {
  // A backend's pool holds tens of sockets; a thousand stay below the usual 1,024 file descriptors.
  maxConnections: 1000,
  maxConnectionsPerSource: 250,
  maxStreams: 1000,
  // A watch costs 11 KB, most of it node's own; a client has one a connection.
  maxAnonymousStreams: 1000,
  maxAnonymousStreamsPerSource: 100,
  // Clients connect because they have a call to make. Slow networks need three seconds for TLS.
  firstCallMs: 10_000,
  // With the ten seconds above and below, whatever a stranger holds is free again after fifteen.
  lingerMs: 5_000,
  // A token with many claims has 4 KiB; proxies cut at 8 or 16.
  maxMetadataBytes: 16 * 1024,
  // Messages have at most 64 KiB: 10 s is 50 kbit/s.
  arrivalMs: 10_000,
  maxWorkMs: 30_000,
  maxUnaryMs: 60_000,
  maxStreamMs: 3_600_000,
  // What they hold while they arrive and wait keeps the process below 350 MB, streams included.
  maxOpenCalls: 1000,
  maxOpenStreams: 10_000,
  maxQueueMs: 1_000,
  // Calls of new connections may still arrive; clients that watch health have switched by then.
  noticeMs: 500,
};

/** The limits that calls run into, by the names that metrics have for them. */
export type LimitName =
  | "connections"
  | "connections_source"
  | "anonymous_streams"
  | "resets"
  | "resets_user"
  | "resets_backend"
  | "cut_source"
  | "first_call"
  | "linger"
  | "idle"
  | "metadata"
  | "message_size"
  | "message_count"
  | "compression"
  | "timeout_header"
  | "arrival"
  | "work"
  | "overload"
  | "unary"
  | "stream"
  | "rate_caller"
  | "rate_source"
  | "guesses_source"
  | "audit";

/** Hears of each limit that a peer ran into. */
export type OnLimit = (limit: LimitName) => void;

import { StoreUnavailable } from "./store.ts";

/** A server and a database, as the messages name them; never the password. */
interface Place {
  readonly server: string;
  readonly host: string;
  readonly role: string;
  readonly database: string;
}

const decoded = (text: string, otherwise: string) => (text === "" ? otherwise : decodeURIComponent(text));

function placeOf(url: string): Place {
  const { hostname, port, username, pathname } = new URL(url);
  const role = decoded(username, "(the name of the system user)");
  const database = decoded(pathname.slice(1), role);
  return { server: `${hostname}:${port || "5432"}`, host: hostname, role, database };
}

const TLS_FAULTS =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_|ERR_TLS)/;

/** Why PostgreSQL takes no connection, and what mends it, by SQLSTATE, error code or message. */
const REASONS: readonly (readonly [RegExp, (place: Place) => string])[] = [
  [/^28P01/, ({ role }) => `the password of the role "${role}" is wrong, or there is no such role`],
  [
    /^28000.*no pg_hba\.conf entry.*no encryption/,
    () => 'it takes encrypted connections only: add "?sslmode=require" to the url',
  ],
  [
    /^28000.*no pg_hba\.conf entry/,
    ({ role, database }) =>
      `its pg_hba.conf does not let the role "${role}" into the database "${database}" from here: add a line for them`,
  ],
  [/^28000/, ({ role }) => `there is no role "${role}" that may log in: CREATE ROLE "${role}" LOGIN PASSWORD '…'`],
  [
    /^3D000/,
    ({ database, role }) => `there is no database "${database}": CREATE DATABASE "${database}" OWNER "${role}"`,
  ],
  [
    /^42501.*CONNECT/i,
    ({ database, role }) => `the role "${role}" may not connect: GRANT CONNECT ON DATABASE "${database}" TO "${role}"`,
  ],
  [/^ECONNREFUSED/, () => "nothing listens there: start the server, or mend host and port of the url"],
  [
    /^(ENOTFOUND|EAI_AGAIN)/,
    ({ host }) => `no host is known by the name "${host}": mend it, or the resolver of this machine`,
  ],
  [
    /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)|timeout expired/i,
    () => "nothing answers from there: look at firewalls and routes between",
  ],
  [
    /^53300/,
    () => "it has no connection left: raise max_connections, or lower the number of instances (32 connections each)",
  ],
  [/^57P03/, () => "it is starting up or shutting down: try again in a moment"],
  [
    /does not support SSL/,
    () => 'it speaks no TLS: set "ssl = on" there, or drop sslmode from the url where the network is safe',
  ],
  [TLS_FAULTS, () => 'its certificate is not trusted: give the CA by "sslrootcert=<file>" in the url'],
  [
    /unsupported startup parameter/,
    () =>
      "a pooler in front (PgBouncer) does not pass settings on: connect to the server itself, or let the pooler pass them",
  ],
];

interface Thrown {
  readonly code?: unknown;
  readonly message?: unknown;
}

/** Says why there is no connection, in one line with server and database; PostgreSQL's own words where none of ours fit. */
export function whyNoPostgres(url: string, cause: unknown): StoreUnavailable {
  const place = placeOf(url);
  const { code = "", message = "" } = (cause ?? {}) as Thrown;
  const told = `${code} ${message}`.trim();
  const reason = REASONS.find(([form]) => form.test(told))?.[1](place) ?? told;
  return new StoreUnavailable(`No connection to PostgreSQL at ${place.server}: ${reason}`, { cause });
}

/** A role may not make tables: says by which statement its owner lets it. Any other error comes back as it is. */
export function whyNotMigrated(url: string, error: unknown): unknown {
  const { code, message } = (error ?? {}) as Thrown;
  const { role, database } = placeOf(url);
  if (code === "3F000")
    return new Error(`the database "${database}" has no schema for the tables: CREATE SCHEMA public`);
  if (code !== "42501") return error;
  const [, schema] = /for schema (\S+)$/.exec(String(message)) ?? [];
  if (schema === undefined) return error;
  return new Error(
    `the role "${role}" may not make tables in the database "${database}": GRANT USAGE, CREATE ON SCHEMA ${schema} TO "${role}"`,
    { cause: error },
  );
}

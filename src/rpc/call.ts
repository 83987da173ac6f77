import { randomUUID } from "node:crypto";
import { type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { Acr, Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { type Caller, type Owner, ownerOf } from "../core/caller.ts";
import type { ClientOrigin } from "../core/client-origin.ts";
import type { OnLimit } from "../core/listener-limits.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store, Tx } from "../db/store.ts";
import type { LockProfile } from "../protection/lock-rules.ts";
import { type Once, onceOnly } from "../protection/request-ids.ts";
import { type Writer, writingAbout } from "../protection/tombstones.ts";
import { stepUp } from "./authorisation.ts";
import { namedUser, requestIdOf } from "./kept-replies.ts";
import { type Policy, policyOf } from "./policy.ts";
import type { TellRefused } from "./refused-calls.ts";
import { statedClient } from "./stated-client.ts";

/** What serving needs of the process. */
export interface Serving {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Whether a user holds a second factor, as the unit sees it. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
  /** How failed attempts lock in a tenant. */
  readonly lockProfileOf: (tenantId: string) => Promise<LockProfile>;
  /** How long a unary call may work, whatever deadline its client asks for. */
  readonly maxWorkMs: number;
  readonly onLimit: OnLimit;
  /** Takes a wrong proof off the allowance of a source; what it returns gives it back. */
  readonly guess: (tenantId: string, ip: string) => () => void;
  /** Has the audit trail keep what was refused or failed. */
  readonly tellRefused: TellRefused;
}

/** Where the gate leaves the verified caller for the handlers. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

/** Where the gate leaves whose credential it was, also of a caller who may not call. For records only. */
export const identifiedKey = createContextKey<Caller | undefined>(undefined, { description: "identified caller" });

/** Whose names may stand in records: the ids of users, and of those who act for them, are personal data. */
export const inOwnName: ReadonlySet<Principal> = new Set([Principal.ADMIN, Principal.SERVICE]);

/** Where the gate leaves the other end of the connection, as far as it is known. */
export const clientKey = createContextKey<ClientOrigin>(
  { ip: "", trusted: false, userAgent: "", application: "" },
  { description: "client" },
);

/** Where a call that has begun leaves its id for the log. */
export const logIdKey = createContextKey("", { description: "log id" });

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The id of a call: the client's own (x-request-id) where it looks like one, else a new one. */
export function logIdOf(header: Pick<Headers, "get">): string {
  const stated = header.get("x-request-id") ?? "";
  if (REQUEST_ID.test(stated)) return stated;
  const made = randomUUID();
  // V8 keeps it as the 18 pieces it was put together from until somebody reads it; open streams hold theirs for long.
  REQUEST_ID.test(made);
  return made;
}

/** What a call works with. */
interface Parts {
  readonly method: DescMethod;
  readonly context: HandlerContext;
  readonly serving: Serving;
  readonly writer: Writer;
  readonly once: Once | undefined;
}

/** A class, so that an open stream holds no closures of its own for what a call can do. */
class BegunCall implements Call {
  readonly caller: Caller;
  readonly client: ClientOrigin;
  readonly now: Date;
  readonly rpc: string;
  readonly logId: string;
  readonly sign: Call["sign"];
  readonly clock: Call["clock"];
  readonly #policy: Policy;
  readonly #reads: boolean;
  readonly #writer: Writer;
  readonly #once: Once | undefined;
  readonly #context: HandlerContext;
  readonly #serving: Serving;
  readonly #isUnary: boolean;
  #signal: AbortSignal | undefined;

  constructor(begun: Pick<Call, "caller" | "client" | "now" | "rpc" | "logId">, parts: Parts) {
    this.caller = begun.caller;
    this.client = begun.client;
    this.now = begun.now;
    this.rpc = begun.rpc;
    this.logId = begun.logId;
    this.sign = parts.serving.keyring.mac;
    this.clock = parts.serving.clock;
    this.#policy = policyOf(parts.method);
    this.#reads = parts.method.idempotency === Idempotency.NO_SIDE_EFFECTS;
    this.#writer = parts.writer;
    this.#once = parts.once;
    this.#context = parts.context;
    this.#serving = parts.serving;
    this.#isUnary = parts.method.methodKind === "unary";
  }

  /** Made for those that ask for it, as few do: work that is long enough to be given up. */
  get signal(): AbortSignal {
    const { signal } = this.#context;
    if (!this.#isUnary) return signal;
    this.#signal ??= AbortSignal.any([signal, AbortSignal.timeout(this.#serving.maxWorkMs)]);
    return this.#signal;
  }

  guess() {
    return this.#serving.guess(this.caller.tenantId, this.client.ip);
  }

  lockProfile() {
    return this.#serving.lockProfileOf(this.caller.tenantId);
  }

  async unit<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.#reads) return this.read(work);
    return this.#once ? this.#once.unit(work) : this.#writer.write(work);
  }

  read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#serving.store.read(work);
  }

  async confirmAccess(tx: Tx): Promise<void> {
    const { principal, acr } = this.caller;
    const byTicket = principal === Principal.TICKET;
    const unproven = principal === Principal.USER && acr !== "aal2";
    if (!byTicket && !(unproven && this.#policy.acr === Acr.AAL2_IF_ENROLLED)) return;
    if (!(await this.#serving.hasFactor(tx, ownerOf(this.caller)))) return;
    throw byTicket ? new Refusal("CHALLENGE_EXPIRED") : stepUp("aal2", this.#policy);
  }
}

/** A call for its handler, and what makes it happen once if its request carries an id. */
export interface Started {
  readonly call: Call;
  readonly once?: Once;
}

/**
 * Begins a call for its handler. The gate opened before; a call that came without one, through a mistake of ours, has
 * no caller and is refused.
 */
export function startCall(method: DescMethod, request: Message, context: HandlerContext, serving: Serving): Started {
  const { store, clock, keyring } = serving;
  const caller = context.values.get(callerKey);
  if (!caller) throw new Refusal("INVALID_CREDENTIAL");
  const rpc = `${method.parent.typeName}/${method.name}`;
  const now = clock();
  const logId = logIdOf(context.requestHeader);
  context.values.set(logIdKey, logId);
  const requestId = requestIdOf(request);
  const userId = inOwnName.has(caller.principal) ? namedUser(request) : caller.subject;
  const { tenantId, authTime, issueTime, principal } = caller;
  // A user's own token ends with the user; whom backends and administrators name may have come anew since.
  const origin = { begun: now, authTime: principal === Principal.USER ? (authTime ?? issueTime) : undefined };
  const writer = userId === "" ? store : writingAbout(store, keyring, { tenantId, userId }, origin);
  const once =
    requestId === ""
      ? undefined
      : onceOnly(
          { keyring, store: { ...store, ...writer } },
          { caller, rpc, requestId, userId, body: toBinary(method.input, request), now },
        );

  // Behind a backend's connection is the backend: where its user is, only the request says.
  const client = caller.principal === Principal.SERVICE ? statedClient(request) : context.values.get(clientKey);

  const call = new BegunCall({ caller, client, now, rpc, logId }, { method, context, serving, writer, once });
  return once ? { call, once } : { call };
}

import { randomUUID } from "node:crypto";
import { type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { type ContextValues, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { Acr, Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../core/call.ts";
import { type Caller, ownerOf } from "../../core/caller.ts";
import type { ClientOrigin } from "../../core/client-origin.ts";
import type { Raised } from "../../core/raise.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Store, Tx } from "../../db/store.ts";
import { type Reader, readingAbout, type Writer, writingAbout } from "../../erasure/tombstones/tombstones.ts";
import { type Once, onceOnly } from "../../idempotency/keys.ts";
import { idempotencyKeyOf, namedUser } from "../../idempotency/replies.ts";
import type { LockProfile } from "../../protection/lock-rules.ts";
import { stepUp } from "../access/authorization.ts";
import { type RpcPolicy, rpcPolicyOf } from "../access/policy.ts";
import { type RaisedCall, raisedCall } from "../access/raised-calls.ts";
import { statedClient, statesClient } from "../access/stated-client.ts";
import type { OnLimit } from "../limits/listener-limits.ts";

/** A refused or failed call. */
export interface RefusedCall {
  readonly method: DescMethod;
  readonly values: ContextValues;
  readonly requestHeader: Pick<Headers, "get">;
  readonly caller: Caller;
  /** The user that the request names; absent where it was not read. */
  readonly userId?: string;
}

/** Records a refused or failed call in the audit trail. Never throws. */
export type TellRefused = (thrown: unknown, call: RefusedCall) => Promise<void>;

/** Dependencies of serving. */
export interface Serving {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Whether a user has a second factor, in the unit. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
  /** Returns a tenant's lock rules. */
  readonly lockProfileOf: (tenantId: string) => Promise<LockProfile>;
  /** The time limit of unary calls, whatever the client's deadline. */
  readonly maxWorkMs: number;
  readonly onLimit: OnLimit;
  /** Counts a proof against its source; the returned function takes it back. */
  readonly guess: (tenantId: string, ip: string) => () => void;
  /** Records refused and failed calls in the audit trail. */
  readonly tellRefused: TellRefused;
}

/** The context key of the verified caller. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

/** The context key of the assertion that raised the caller. */
export const raisedKey = createContextKey<Raised | undefined>(undefined, { description: "raised" });

/** The context key of the credential's owner, also for denied callers. For records only. */
export const identifiedKey = createContextKey<Caller | undefined>(undefined, { description: "identified caller" });

/** The principals whose names may stand in logs; ids of users are personal data. */
export const inOwnName: ReadonlySet<Principal> = new Set([Principal.ADMIN, Principal.SERVICE]);

/** The context key of the client's address. */
export const clientKey = createContextKey<ClientOrigin>(
  { ip: "", trusted: false, userAgent: "", application: "" },
  { description: "client" },
);

/** The context key of whether a backend calls with its user's token. */
export const throughBackendKey = createContextKey(false, { description: "through a backend" });

/** The context key of the call's id, for the log. */
export const callIdKey = createContextKey("", { description: "call id" });

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The id of a call: the client's own (x-request-id) where it looks like one, else a new one. */
export function callIdOf(header: Pick<Headers, "get">): string {
  const stated = header.get("x-request-id") ?? "";
  if (REQUEST_ID.test(stated)) return stated;
  const made = randomUUID();
  // V8 keeps it as the 18 pieces it was put together from until somebody reads it; open streams hold theirs for long.
  REQUEST_ID.test(made);
  return made;
}

/** Dependencies of a call. */
interface Parts {
  readonly method: DescMethod;
  readonly context: HandlerContext;
  readonly serving: Serving;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly once: Once | undefined;
}

/** A class, so that an open stream holds no closures of its own for what a call can do. */
class BegunCall implements Call {
  readonly caller: Caller;
  readonly client: ClientOrigin;
  readonly now: Date;
  readonly rpc: string;
  readonly callId: string;
  readonly sign: Call["sign"];
  readonly clock: Call["clock"];
  readonly #policy: RpcPolicy;
  readonly #reads: boolean;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #once: Once | undefined;
  readonly #context: HandlerContext;
  readonly #serving: Serving;
  readonly #isUnary: boolean;
  #signal: AbortSignal | undefined;

  constructor(begun: Pick<Call, "caller" | "client" | "now" | "rpc" | "callId">, parts: Parts) {
    this.caller = begun.caller;
    this.client = begun.client;
    this.now = begun.now;
    this.rpc = begun.rpc;
    this.callId = begun.callId;
    this.sign = parts.serving.keyring.mac;
    this.clock = parts.serving.clock;
    this.#policy = rpcPolicyOf(parts.method);
    this.#reads = parts.method.idempotency === Idempotency.NO_SIDE_EFFECTS;
    this.#reader = parts.reader;
    this.#writer = parts.writer;
    this.#once = parts.once;
    this.#context = parts.context;
    this.#serving = parts.serving;
    this.#isUnary = parts.method.methodKind === "unary";
  }

  /** Made on demand, for work that is long enough to be cancelled. */
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
    return this.#reader.read(work);
  }

  async confirmAccess(tx: Tx): Promise<void> {
    const { principal, acr, besideFactor = false } = this.caller;
    const byTicket = principal === Principal.TICKET && !besideFactor;
    const unproven = principal === Principal.USER && acr !== "aal2";
    if (!byTicket && !(unproven && this.#policy.acr === Acr.AAL2_IF_ENROLLED)) return;
    if (!(await this.#serving.hasFactor(tx, ownerOf(this.caller)))) return;
    throw byTicket ? new Refusal("CHALLENGE_EXPIRED") : stepUp("aal2", this.#policy);
  }
}

/** A call for its handler, with its idempotency and the assertion that it uses up. */
export interface Started {
  readonly call: Call;
  readonly once?: Once;
  readonly raised?: RaisedCall;
}

/** Begins a call for its handler, after the gate. Without a caller, by a fault of ours, it is refused. */
export function startCall(method: DescMethod, request: Message, context: HandlerContext, serving: Serving): Started {
  const { store, clock, keyring } = serving;
  const caller = context.values.get(callerKey);
  if (!caller) throw new Refusal("INVALID_CREDENTIAL");
  const rpc = `${method.parent.typeName}/${method.name}`;
  const now = clock();
  const callId = callIdOf(context.requestHeader);
  context.values.set(callIdKey, callId);
  const requestId = idempotencyKeyOf(request);
  const userId = inOwnName.has(caller.principal) ? namedUser(request) : caller.subject;
  const { tenantId, authTime, issueTime, principal } = caller;
  // A user's own token ends with the user; whom backends and administrators name may have come anew since.
  const origin = { begun: now, authTime: principal === Principal.USER ? (authTime ?? issueTime) : undefined };
  const owner = { tenantId, userId };
  const reader = userId === "" ? store : readingAbout(store, keyring, owner, origin);
  const plain = userId === "" ? store : writingAbout(store, keyring, owner, origin);
  const raisedBy = context.values.get(raisedKey);
  const raised = raisedBy && raisedCall(raisedBy, { reader, plain, now });
  const writer = raised?.writer ?? plain;
  const once =
    requestId === ""
      ? undefined
      : onceOnly(
          { keyring, store: { ...store, ...writer } },
          { caller, rpc, requestId, userId, body: toBinary(method.input, request), now },
        );

  // A backend's connection shows the backend: where its user is, only the request says.
  const isStated =
    caller.principal === Principal.SERVICE || (context.values.get(throughBackendKey) && statesClient(request));
  const client = isStated ? statedClient(request) : context.values.get(clientKey);

  const call = new BegunCall({ caller, client, now, rpc, callId }, { method, context, serving, reader, writer, once });
  return { call, ...(once && { once }), ...(raised && { raised }) };
}

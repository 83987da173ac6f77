import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { append } from "../audit/trail.ts";
import type { Caller } from "../core/caller.ts";
import type { OnLimit } from "../core/listener-limits.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { type Store, StoreUnavailable } from "../db/store.ts";
import { Buckets } from "./buckets.ts";
import { clientKey, inOwnName, logIdKey, logIdOf } from "./call.ts";
import { reasonOf, toConnectError } from "./errors.ts";
import { policyOf } from "./policy.ts";

/** A call of which nothing came, as far as it is known. */
export interface RefusedCall {
  readonly method: DescMethod;
  readonly values: ContextValues;
  readonly requestHeader: Pick<Headers, "get">;
  readonly caller: Caller;
  /** Whom the request names; absent where it was not read. */
  readonly userId?: string;
}

/** Has the audit trail keep that a call was refused or failed, by what was thrown. Never throws itself. */
export type TellRefused = (thrown: unknown, call: RefusedCall) => Promise<void>;

/** The refusals that say that the caller may not; all others say that it could not be done. */
const denials: ReadonlySet<string> = new Set(["ACCESS_DENIED", "INSUFFICIENT_USER_AUTHENTICATION", "SELF_ACTION"]);

/** So many entries of one caller at once, and then so many a minute: a loop that is refused is not to fill the trail. */
const BURST = 30;
const A_MINUTE = 30;

/**
 * Refused and failed calls of audited RPCs by administrators and backends: who tried what they may not is what an
 * auditor looks for first. Users' refusals are everyday (a step-up begins with one) and are in the log only.
 */
export function createRefusedCalls({
  store,
  keyring,
  clock,
  onLimit,
  onTrouble,
}: {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  readonly onLimit: OnLimit;
  /** Hears of a store that does not take the entry; the call is refused all the same. */
  readonly onTrouble: (error: unknown) => void;
}): TellRefused {
  const allowances = new Buckets(A_MINUTE / 60, BURST);

  return async (thrown, { method, values, requestHeader, caller, userId = "" }) => {
    // Without a store there is nowhere to write it.
    if (!inOwnName.has(caller.principal) || !policyOf(method).audited || thrown instanceof StoreUnavailable) return;
    const { tenantId, principal, subject } = caller;
    const key = JSON.stringify([principal, tenantId, subject]);
    if (allowances.waitMs(key) > 0) return onLimit("audit");
    allowances.take(key);
    const refused = reasonOf(toConnectError(thrown, () => {})) ?? "INTERNAL";
    const isDenied = denials.has(refused);
    const requestId = values.get(logIdKey) || logIdOf(requestHeader);
    values.set(logIdKey, requestId);
    const entry = {
      ...{ tenantId, userId, namesKnownOnly: true, requestId },
      ...{ action: isDenied ? "rpc.denied" : "rpc.failed", targetType: "rpc", targetId: method.name },
      ...{ actorType: Principal[principal], actorId: subject, isByUser: false, isFromUser: false },
      ...{ ip: values.get(clientKey).ip, rpc: `${method.parent.typeName}/${method.name}` },
      ...{ outcome: isDenied ? "DENIED" : "FAILED", reason: "", before: null, after: { refused }, createTime: clock() },
    };
    await store.write((tx) => append(tx, keyring.mac, entry)).catch(onTrouble);
  };
}

import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import { append } from "../../audit/trail.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { type Store, StoreUnavailable } from "../../db/store.ts";
import { rpcPolicyOf } from "../access/policy.ts";
import { Buckets } from "../limits/buckets.ts";
import type { OnLimit } from "../limits/listener-limits.ts";
import { callIdKey, callIdOf, clientKey, inOwnName, type TellRefused } from "./call.ts";
import { errorReasonOf, toConnectError } from "./errors.ts";

/** Refusals for want of permission; all others count as failures. */
const denials: ReadonlySet<string> = new Set(["ACCESS_DENIED", "INSUFFICIENT_USER_AUTHENTICATION", "SELF_ACTION"]);

/** Entries of one caller: a burst, and then a rate a minute, so that a refused loop does not fill the trail. */
const BURST = 30;
const A_MINUTE = 30;

/**
 * Records refused and failed calls of audited RPCs by administrators and backends, since attempts without permission
 * are what auditors look for. Users' refusals are common (a step-up begins with one) and are in the log only.
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
  /** Called when the store fails to record the entry; the call is refused in any case. */
  readonly onTrouble: (error: unknown) => void;
}): TellRefused {
  const allowances = new Buckets(A_MINUTE / 60, BURST);

  return async (thrown, { method, values, requestHeader, caller, userId = "" }) => {
    // Without a store there is nowhere to write it.
    if (!inOwnName.has(caller.principal) || !rpcPolicyOf(method).audited || thrown instanceof StoreUnavailable) return;
    const { tenantId, principal, subject } = caller;
    const key = JSON.stringify([principal, tenantId, subject]);
    if (allowances.waitMs(key) > 0) return onLimit("audit");
    allowances.take(key);
    const refused = errorReasonOf(toConnectError(thrown, () => {})) ?? "INTERNAL";
    const isDenied = denials.has(refused);
    const callId = values.get(callIdKey) || callIdOf(requestHeader);
    values.set(callIdKey, callId);
    const entry = {
      ...{ tenantId, userId, namesKnownOnly: true, callId },
      ...{ action: isDenied ? "rpc.denied" : "rpc.failed", targetType: "rpc", targetId: method.name },
      ...{ actorType: Principal[principal], actorId: subject, isByUser: false, isFromUser: false },
      ...{ ip: values.get(clientKey).ip, rpc: `${method.parent.typeName}/${method.name}` },
      ...{ outcome: isDenied ? "DENIED" : "FAILED", reason: "", before: null, after: { refused }, createTime: clock() },
    };
    await store.write((tx) => append(tx, keyring.mac, entry)).catch(onTrouble);
  };
}

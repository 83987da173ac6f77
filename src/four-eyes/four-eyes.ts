import { createHash } from "node:crypto";
import { clone, type DescMessage, type DescService, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { alone } from "./alone.ts";
import type { Approvals } from "./approvals.ts";
import { approvedCall } from "./approved-call.ts";

/** What makes a call one that a second administrator has to approve. */
export interface ApprovalRule<Request> {
  /** Whether this request takes a protection away, or does what always needs two. */
  readonly needsTwo: (call: Call, request: Request) => Promise<boolean>;
  /** What would be done, as a sentence for the second administrator; without secrets. */
  readonly describe: (request: Request) => string;
  /** Whom it concerns; absent for what concerns the tenant, or many. */
  readonly userOf?: (request: Request) => string;
}

/** The guards of a service, by the names of its handlers. */
export type Guards<S extends DescService> = {
  readonly [M in keyof S["method"]]?: ApprovalRule<MessageShape<S["method"][M]["input"]>>;
};

/** Dependencies of the guards. */
export interface FourEyesOptions {
  readonly approvals: Approvals;
  /** As a unit sees them: who has just switched four eyes on is protected at once. */
  readonly settingsIn: (tx: Tx, tenantId: string) => Promise<EffectiveSettings>;
}

type AnyHandler = (request: MessageShape<DescMessage>, call: Call) => Promise<object | Refusal>;

/** SHA-256 of a request; of a retry too, whose `request_id` is another. */
function digestOf(schema: DescMessage, request: MessageShape<DescMessage>): string {
  const bare = clone(schema, request);
  if ("requestId" in bare) Object.assign(bare, { requestId: "" });
  return createHash("sha256").update(toBinary(schema, bare)).digest("base64url");
}

/**
 * Has calls of administrators that guard others wait for a second one, where their tenant asks for four eyes. The first
 * call is refused and asks for the approval; once it is granted, the same administrator calls again with the very same
 * request, and uses the approval up by it, in the unit that does it: a call that fails keeps its approval.
 */
export function createFourEyes({ approvals, settingsIn }: FourEyesOptions) {
  const isAsked = (call: Call) =>
    call.read(async (tx) => (await settingsIn(tx, call.caller.tenantId)).administration.fourEyes);

  /** Throws for an RPC that writes and is neither guarded nor done alone: whoever adds one says which. */
  const requireLines = (service: DescService, guards: object) => {
    for (const { name, localName, idempotency } of service.methods) {
      if (idempotency === Idempotency.NO_SIDE_EFFECTS) continue;
      if (localName in guards === localName in alone)
        throw new Error(`${name} has to be guarded by two administrators, or to have a line of src/four-eyes/alone.ts`);
    }
  };

  return <S extends DescService, H extends object>(service: S, guards: Guards<S>, handlers: H): H => {
    requireLines(service, guards);
    const guarded = (name: string, handler: AnyHandler): AnyHandler => {
      const guard = (guards as Record<string, ApprovalRule<MessageShape<DescMessage>> | undefined>)[name];
      const method = service.methods.find(({ localName }) => localName === name);
      if (!guard || !method) return handler;
      return async (request, call) => {
        const { principal, tenantId } = call.caller;
        if (principal !== Principal.ADMIN || !(await isAsked(call)) || !(await guard.needsTwo(call, request))) {
          return handler(request, call);
        }
        const userId = guard.userOf?.(request) ?? "";
        const asked = {
          rpc: method.name,
          digest: digestOf(method.input, request),
          description: guard.describe(request),
        };
        const owner = { tenantId, userId };
        const reason = "reason" in request ? String(request.reason) : "";
        if (!(await approvals.isGranted(call, asked))) return approvals.askFor(call, owner, asked, reason);
        const approved = approvedCall(call, owner, {
          use: (tx) => approvals.use(tx, call, owner, asked),
          rpc: method.name,
        });
        try {
          const reply = await handler(request, approved.call);
          if (reply instanceof Refusal) await approved.giveBack();
          return reply;
        } catch (thrown) {
          if (approved.isTaken()) return approvals.askFor(call, owner, asked, reason);
          if (thrown instanceof Refusal) await approved.giveBack();
          throw thrown;
        }
      };
    };
    return Object.fromEntries(
      Object.entries(handlers).map(([name, handler]) => [name, guarded(name, handler as AnyHandler)]),
    ) as H;
  };
}

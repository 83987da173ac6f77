import { ownMethod } from "../amr.ts";
import type { Factor } from "../factor.ts";
import { temporaryPassRepository } from "./temporary-pass.repository.ts";

const METHOD = ownMethod("temporary-pass");

/** Temporary passes as the registry of factors sees them: listed while they can still be used. */
export const temporaryPassFactor: Factor<"TEMPORARY_PASS"> = {
  type: "TEMPORARY_PASS",
  word: "temporary pass",
  receiptKind: "temporary_passes",
  amr: { own: METHOD, of: () => [METHOD] },
  consumed: true,
  recovers: false,
  phishingResistant: false,
  canBeDeviceBound: false,
  channels: [],
  counts: false,
  restricted: false,
  // Users never enroll one: whether it is on is a setting of its own.
  isOn: ({ administration }) => !administration.denyTemporaryPasses,
  isEnrollable: () => false,
  // Without a clock here: whether its time is over is judged where it is listed and where it is spent.
  isEnrolled: async (tx, owner) => (await temporaryPassRepository(tx).find(owner))?.useTime === null,
  list: async (tx, owner, now) => {
    const pass = await temporaryPassRepository(tx).find(owner);
    if (!pass || pass.useTime || pass.expireTime <= now) return [];
    const { passId, startTime, createTime } = pass;
    const state = startTime <= now ? "ACTIVE" : "PENDING";
    const times = { createTime, updateTime: createTime, lastUseTime: null };
    return [{ factorId: passId, state, displayName: "Temporary pass", maskedTarget: "", ...times }];
  },
  // A pass says nothing about how well its user is protected.
  listHoldings: async () => [],
  statusFields: () => ({ temporaryPass: true }),
  forget: async (tx, owner) => (await temporaryPassRepository(tx).delete(owner)).length,
  forgetOne: async (tx, owner, passId) => {
    const passes = temporaryPassRepository(tx);
    return (await passes.find(owner))?.passId === passId ? (await passes.delete(owner)).length : 0;
  },
};

import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { factors } from "../factors/index.ts";
import { CHANNELS, type Channel } from "../outbox/outbox.table.ts";

/** The kind of factor whose messages a channel carries; UNSPECIFIED for notices. */
export const factorTypeOf = (channel: Channel): FactorType => {
  const factor = factors.find(({ channels }) => channels.includes(channel));
  return factor ? FactorType[factor.type] : FactorType.UNSPECIFIED;
};

/** The channels that belong to a kind of factor: empty for all kinds, "none" where the kind sends nothing. */
export const channelsOf = (type: FactorType): readonly (Channel | "none")[] => {
  if (type === FactorType.UNSPECIFIED) return [];
  const own = CHANNELS.filter((channel) => factorTypeOf(channel) === type);
  return own.length > 0 ? own : ["none"];
};

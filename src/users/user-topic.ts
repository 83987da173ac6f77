import { createHash } from "node:crypto";
import type { Owner } from "../db/store.ts";

/**
 * The topic announced when something changes that a user's open streams show: a challenge, a lock, the set of factors.
 * A digest, since announcements pass through the database's log.
 */
export const topicOf = ({ tenantId, userId }: Owner): string =>
  createHash("sha256")
    .update(JSON.stringify([tenantId, userId]))
    .digest("base64url")
    .slice(0, 22);

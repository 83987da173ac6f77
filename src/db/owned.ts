import { and, type Column, eq, type SQL } from "drizzle-orm";
import type { Building, Owner } from "./store.ts";

type TextColumn = Column & { readonly _: { readonly data: string } };

/** The rows of one user, in any table that has rows of users. */
export const isOwnedBy = (
  s: Building<Owner>,
  t: { readonly tenantId: TextColumn; readonly userId: TextColumn },
): SQL | undefined => and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.userId, s.param("userId", t.userId)));

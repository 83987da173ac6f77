import { and, type Column, eq, gt, lte, type SQL } from "drizzle-orm";
import type { Building } from "./store.ts";

/** A tenant's users between two ids, the first exclusive, in the engine's order. */
export type UserSpan = { readonly tenantId: string; readonly after: string; readonly through: string };

type TextColumn = Column & { readonly _: { readonly data: string } };

/** The rows of a span of users. */
export const isInSpan = (
  s: Building<UserSpan>,
  t: { readonly tenantId: TextColumn; readonly userId: TextColumn },
): SQL | undefined =>
  and(
    eq(t.tenantId, s.param("tenantId", t.tenantId)),
    gt(t.userId, s.param("after", t.userId)),
    lte(t.userId, s.param("through", t.userId)),
  );

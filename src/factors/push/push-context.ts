import { clientName } from "../../core/client-name.ts";
import type { ClientOrigin } from "../../core/client-origin.ts";
import type { PushContext } from "./push.table.ts";

/** What the phone shows: made of what the service knows, never of the page's own words. */
export const contextOf = (
  client: ClientOrigin,
  { renderedAction, service, location }: { renderedAction: string; service: string; location: string },
): PushContext => ({
  ip: client.ip,
  location,
  application: client.application || service,
  userAgent: clientName(client.userAgent),
  renderedAction,
});

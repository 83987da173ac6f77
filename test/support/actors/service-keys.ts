import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CreateServiceKeyRequestSchema } from "../../../gen/mfa/v1/service_key_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { adminOf } from "./administrators.ts";

/** A token of an administrator who may give away scopes of backends, beside those for the keys themselves. */
export const keeperOf = (service: ServiceUnderTest, scopes: string, subject = "root") =>
  adminOf(service, `mfa.keys.write mfa.read ${scopes}`, { subject });

/** Creates a service key for the backend "shop" by an administrator who has its scopes. */
export async function createKey(
  service: ServiceUnderTest,
  scopes: readonly string[],
  more: MessageInitShape<typeof CreateServiceKeyRequestSchema> = {},
) {
  const request = { service: "shop", scopes: [...scopes], ...more };
  const { key, secret } = await service.admin.createServiceKey(request, await keeperOf(service, scopes.join(" ")));
  return { keyId: key?.keyId ?? "", key, secret };
}

import type { DescFile, DescService, MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.js";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as V1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { DescriptorIndex } from "./descriptor-index.ts";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

const fail = (errorCode: Code, errorMessage: string): Answer => ({
  case: "errorResponse",
  value: { errorCode, errorMessage },
});

function answer(
  index: DescriptorIndex,
  { messageRequest: query }: Pick<ServerReflectionRequest, "messageRequest">,
  sent: Set<string>,
): Answer {
  const file = (found: DescFile | undefined): Answer =>
    found
      ? { case: "fileDescriptorResponse", value: { fileDescriptorProto: index.serialised(found, sent) } }
      : fail(Code.NotFound, "no such file, symbol or extension");
  switch (query.case) {
    case "fileByFilename":
      return file(index.byName(query.value));
    case "fileContainingSymbol":
      return file(index.bySymbol(query.value));
    case "fileContainingExtension":
      return file(index.byExtension(query.value.containingType, query.value.extensionNumber));
    case "allExtensionNumbersOfType": {
      const extensionNumber = index.extensionNumbers(query.value);
      if (!extensionNumber) return fail(Code.NotFound, "no such type");
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: query.value, extensionNumber } };
    }
    case "listServices":
      return { case: "listServicesResponse", value: { service: index.services.map((name) => ({ name })) } };
    default:
      return fail(Code.InvalidArgument, "no request");
  }
}

/** grpc.reflection v1 and v1alpha, which say the same in the same fields: grpcurl asks the one, older tools the other. */
export function createReflection(services: readonly DescService[]): {
  v1: ServiceImpl<typeof V1>;
  v1alpha: ServiceImpl<typeof V1Alpha>;
} {
  // Errors carry these inside an Any: with them a generic client can print the reason.
  const index = new DescriptorIndex([...services, V1, V1Alpha], [file_google_rpc_error_details]);
  async function* info(requests: AsyncIterable<ServerReflectionRequest>) {
    const sent = new Set<string>();
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: answer(index, request, sent) };
    }
  }
  const implementation = { serverReflectionInfo: info };
  return { v1: implementation, v1alpha: implementation as unknown as ServiceImpl<typeof V1Alpha> };
}

// How a refusal looks in JSON (Connect's error).

const CODES = [
  ...["canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists"],
  ...["permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented"],
  ...["internal", "unavailable", "data_loss", "unauthenticated"],
];

export const errorSchemas = {
  ConnectError: {
    type: "object",
    description: "A refusal. Branch on the reason in its google.rpc.ErrorInfo, never on the message.",
    properties: {
      code: { type: "string", enum: CODES, description: "The code of gRPC." },
      message: { type: "string", description: "For the log of a developer; may change." },
      details: { type: "array", items: { $ref: "#/components/schemas/ConnectErrorDetail" } },
    },
    required: ["code"],
  },
  ConnectErrorDetail: {
    type: "object",
    description: "One of google.rpc.ErrorInfo (reason, metadata), RetryInfo or buf.validate.Violations.",
    properties: {
      type: { type: "string", description: "The full name of the message." },
      value: { type: "string", description: "The message in binary, base64 without padding." },
      debug: { type: "object", additionalProperties: true, description: "The message as JSON." },
    },
    required: ["type", "value"],
  },
};

/** Every status but 200. */
export const refusal = {
  description: "Refused: the status follows the code.",
  content: { "application/json": { schema: { $ref: "#/components/schemas/ConnectError" } } },
};

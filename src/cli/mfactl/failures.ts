import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { commentOf } from "./fields.ts";
import { EXIT, type Exit, Stop } from "./io.ts";
import { durationText } from "./words.ts";

/** What an operator does about a refusal, where the contract's own comment does not say. */
const ADVICE: Readonly<Record<string, string>> = {
  INVALID_CREDENTIAL: "`mfactl token explain` shows which check the token fails",
  INSUFFICIENT_USER_AUTHENTICATION: "log in anew with a second factor, and call with the new token",
  ACCESS_DENIED: "the token needs the scope that `--help` of this command names",
  RATE_LIMITED: "wait, or raise `rates` in the settings",
  LOCKED: "`mfactl admin clear-lockout` ends the lock",
  NOT_FOUND: "look for misspelt ids, and whether the token is of the right tenant",
  STALE_VERSION: "read it again, and repeat the change with the version that this shows",
  CONFLICT: "repeat the command",
  STORE_UNAVAILABLE: "`mfactl doctor` looks at the database",
  ISSUER_UNAVAILABLE: "`mfactl doctor` looks at the issuers",
  INVALID_PAGE_TOKEN: "repeat the filter of the first page unchanged",
  CURSOR_EXPIRED: "begin anew without a cursor",
  APPROVAL_REQUIRED: "have a second administrator run `mfactl admin grant-approval`, then repeat the command unchanged",
  SELF_ACTION: "have another administrator do it",
  LAST_FACTOR: "repeat it with --confirm-last-factor where policy lets you",
  DATA_TAMPERED: "somebody wrote to the database beside the service: docs/operate/runbook.md says how to go on",
  DATA_DAMAGED: "restore a backup: `mfactl restore`",
  OVERLOADED: "repeat the command later, and look at mfa_work",
  STOPPING: "repeat the command once the service is up again",
  DEV_MODE_ONLY: "production keeps no inbox",
};

/** A failure of a call for people, with the exit code that it ends with. */
export interface ToldFailure {
  readonly exit: Exit;
  readonly text: string;
}

const UNREACHABLE = new Set([Code.Unavailable, Code.Unknown, Code.Internal]);

/** Why no answer came at all, from the error of the socket. */
function connectionText(error: ConnectError, address: string): string {
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ECONNREFUSED") return `nothing listens at ${address}: start the service, or mend the address`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `no host is known by the name in ${address}`;
  if (/CERT|SELF_SIGNED|VERIFY/.test(code)) {
    return `the certificate of ${address} is not trusted (${code}): give its CA by --ca-file of the context`;
  }
  const protocol = /PROTOCOL|ERR_HTTP2|ERR_SSL|ECONNRESET/.test(code)
    ? ": is this a gRPC listener, and is it http or https?"
    : "";
  return `no answer from ${address}: ${code || error.rawMessage}${protocol}`;
}

function refusalText(error: ConnectError): string[] {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const reason = info?.reason ?? "";
  const comment = commentOf(`ErrorReason.${reason}`).replace(/^[A-Z_]+(?: with \w+)?: /, "");
  const metadata = Object.entries(info?.metadata ?? {}).map(([name, value]) => `  ${name}: ${value}`);
  return [
    `refused: ${error.rawMessage}${reason ? ` (${reason})` : ""}`,
    ...(comment ? [`  ${comment}`] : []),
    ...metadata,
    ...(retry?.retryDelay ? [`  again in ${durationText(durationMs(retry.retryDelay) / 1000)}`] : []),
    ...(ADVICE[reason] ? [`  what to do: ${ADVICE[reason]}`] : []),
  ];
}

/** Puts a failure into words, and says by which exit code it ends the command. */
export function tellFailure(thrown: unknown, address: string): ToldFailure {
  if (thrown instanceof Stop) return { exit: thrown.exit, text: `${thrown.message}\n` };
  const error = ConnectError.from(thrown);
  const isAnswer = error.findDetails(ErrorInfoSchema).length > 0;
  if (!isAnswer && UNREACHABLE.has(error.code)) {
    return { exit: EXIT.unreachable, text: `${connectionText(error, address)}\n` };
  }
  return { exit: EXIT.refused, text: `${refusalText(error).join("\n")}\n` };
}

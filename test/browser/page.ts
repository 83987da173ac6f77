// What the page of another origin runs; bundled by the test.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";

const transports = { Connect: createConnectTransport, "gRPC-Web": createGrpcWebTransport };

/** A log-in as the page sends it. */
export interface Login {
  readonly protocol: keyof typeof transports;
  readonly url: string;
  readonly token: string;
  readonly code: string;
}

/** Verifies a code, and answers what a page can see of the reply or the refusal. */
async function logIn({ protocol, url, token, code }: Login) {
  const mfa = createClient(MfaService, transports[protocol]({ baseUrl: url }));
  try {
    const reply = await mfa.verifyTotpCode({ code }, { headers: { authorization: `Bearer ${token}` } });
    return { deviceId: reply.deviceId };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const [info] = error.findDetails(ErrorInfoSchema);
    // The browser's own failure to fetch carries no header of an answer, and no detail.
    return { code: Code[error.code], reason: info?.reason, domain: info?.domain, text: error.rawMessage };
  }
}

/** What the test calls in the page. */
export type PageScript = typeof globalThis & { logIn: typeof logIn };

(globalThis as PageScript).logIn = logIn;

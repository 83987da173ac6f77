// What a page of an application runs with the client of src/client/browser.ts; bundled by the test.
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { createPasskeys, type NewPasskey, type PasskeyProof, reasonOf } from "../../src/client/browser.ts";

const transports = { Connect: createConnectTransport, "gRPC-Web": createGrpcWebTransport };

/** One wish of the test. */
export interface Wish {
  readonly protocol: keyof typeof transports;
  readonly token: string;
  readonly register?: NewPasskey;
  readonly authenticate?: PasskeyProof;
}

/** Fulfils a wish, and answers what came of it or why not. */
async function fulfil({ protocol, token, register, authenticate }: Wish) {
  const passkeys = createPasskeys(transports[protocol]({ baseUrl: location.origin }), () => token);
  try {
    if (register) {
      const { credential } = await passkeys.register(register);
      return { id: credential?.credentialId, name: credential?.displayName, resident: credential?.discoverable };
    }
    const { credentialId, userVerified } = await passkeys.authenticate(authenticate);
    return { id: credentialId, userVerified };
  } catch (thrown) {
    return { reason: reasonOf(thrown) };
  }
}

/** What the test calls in the page. */
export type PageScript = typeof globalThis & { fulfil: typeof fulfil };

(globalThis as PageScript).fulfil = fulfil;
declare const location: { readonly origin: string };

// What a log-in page runs that waits for a phone; bundled by the test.
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { reasonOf } from "../../src/client/browser.ts";

const transports = { Connect: createConnectTransport, "gRPC-Web": createGrpcWebTransport };

/** Where the page calls, and as whom. */
export interface Session {
  readonly protocol: keyof typeof transports;
  readonly url: string;
  readonly token: string;
}

/** What the page asks the phone for. */
export interface Wanted {
  readonly audience: string;
  readonly action?: { readonly type: string; readonly parameters: Record<string, string> };
}

const show = (id: string, text: string) => {
  const element = document.getElementById(id);
  if (element) element.textContent = text;
};

const open = ({ protocol, url, token }: Session) => ({
  mfa: createClient(MfaService, transports[protocol]({ baseUrl: url })),
  options: { headers: { authorization: `Bearer ${token}` } },
});

/** Shows the code that a phone scans, and answers what it says. */
async function pair(session: Session) {
  const { mfa, options } = open(session);
  const { pairingUri, qrSvg } = await mfa.startPushDeviceEnrollment({}, options);
  document.body.insertAdjacentHTML("beforeend", `<div id="code" style="width: 240px">${qrSvg}</div>`);
  return pairingUri;
}

/** Asks the phone, shows the number, and shows each state as it comes. */
async function ask(session: Session, wanted: Wanted) {
  const { mfa, options } = open(session);
  document.getElementById("code")?.remove();
  show("state", "");
  try {
    const { challenge, number } = await mfa.createPushChallenge(wanted, options);
    const { challengeId = "", pushChallengeId = "" } = challenge ?? {};
    show("number", number);
    const watch = async () => {
      const seen: string[] = [];
      for await (const reply of mfa.watchChallenge({ challengeId }, options)) {
        seen.push(ChallengeState[reply.challenge?.state ?? ChallengeState.UNSPECIFIED] ?? "");
        show("state", seen.join(" → "));
      }
      show("state", `${seen.join(" → ")}, over`);
    };
    watch().catch((thrown: unknown) => show("state", `failed: ${thrown}`));
    return { challengeId, pushChallengeId };
  } catch (thrown) {
    return { challengeId: "", pushChallengeId: "", reason: reasonOf(thrown) };
  }
}

/** What the service says of the request, in words: its state and why it was denied. */
async function look(session: Session, pushChallengeId: string) {
  const { mfa, options } = open(session);
  const { challenge } = await mfa.getPushChallenge({ pushChallengeId }, options);
  return { state: challenge?.state, denyReason: challenge?.denyReason };
}

/** What the test calls in the page. */
export type PageScript = typeof globalThis & { pair: typeof pair; ask: typeof ask; look: typeof look };

Object.assign(globalThis, { pair, ask, look });
declare const document: {
  readonly body: { insertAdjacentHTML(where: string, html: string): void };
  getElementById(id: string): { textContent: string; remove(): void } | null;
};

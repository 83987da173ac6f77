import { createHash, randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ChallengePurpose } from "../../../gen/mfa/v1/challenge_pb.js";
import type { CreatePromptRequestSchema, RedeemPromptRequestSchema } from "../../../gen/mfa/v1/prompt_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { backendOf } from "./backend.ts";

type AskedPrompt = Omit<MessageInitShape<typeof CreatePromptRequestSchema>, `$${string}`>;
type Redeeming = Omit<MessageInitShape<typeof RedeemPromptRequestSchema>, `$${string}`>;

const client = { ip: "127.0.0.1" };

/** Where the application of a test takes its users back, on this machine. */
export const CALLBACK = "http://localhost:4000/callback";

/** A log-in that an application has begun: what it keeps for the browser that logs in, and nobody else. */
export interface BegunPrompt {
  readonly state: string;
  readonly codeVerifier: string;
  readonly promptId: string;
  readonly promptUrl: string;
}

/** An application whose users prove their factor in the prompt. */
export function application(service: ServiceUnderTest, name = "shop", tenant = "dev") {
  const token = () => backendOf(service, name, tenant);
  return {
    token,
    async begin(userId = "ann", asked: Partial<AskedPrompt> = {}): Promise<BegunPrompt> {
      const [state, codeVerifier] = [randomBytes(24), randomBytes(32)].map((bytes) => bytes.toString("base64url")) as [
        string,
        string,
      ];
      const codeChallenge = createHash("sha256").update(codeVerifier).digest("base64url");
      const terms = { purpose: ChallengePurpose.LOG_IN };
      const request = { userId, terms, returnUrl: CALLBACK, state, codeChallenge, client, ...asked };
      const { promptId, promptUrl } = await service.internal.createPrompt(request, await token());
      return { state, codeVerifier, promptId, promptUrl };
    },
    redeem: async ({ codeVerifier }: Pick<BegunPrompt, "codeVerifier">, code: string, asked: Partial<Redeeming> = {}) =>
      service.internal.redeemPrompt(
        { userId: "ann", code, codeVerifier, returnUrl: CALLBACK, client, ...asked },
        await token(),
      ),
  };
}

/** What a call of the page came to. */
export interface Answered {
  readonly status: number;
  readonly reason: string;
  readonly reply: Reply;
}

/** What the tests read of replies, in JSON. */
interface Reply {
  readonly code?: string;
  readonly details?: readonly { readonly type: string; readonly debug?: { readonly reason: string } }[];
  readonly challenge?: { readonly challengeId: string; readonly factors?: readonly { readonly type: string }[] };
  readonly preparation?: { readonly push?: { readonly number: string } };
  readonly returnUrl?: string;
}

/** Where a reply leads. */
export const leadsTo = ({ returnUrl = "" }: Reply): URL => new URL(returnUrl);

/** A browser over plain HTTP: follows nothing by itself, keeps cookies, and sends what browsers send. */
export function httpBrowser(service: ServiceUnderTest, userAgent = "Mozilla/5.0 Test") {
  const origin = `http://localhost:${service.gatewayPort}`;
  const jar = new Map<string, string>();
  const cookie = () => [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  return {
    jar,
    origin,
    /** Opens an address of the prompt; answers where it leads. */
    async open(address: string) {
      const { pathname, search } = new URL(address);
      const response = await fetch(`${origin}${pathname}${search}`, {
        redirect: "manual",
        headers: { cookie: cookie(), "user-agent": userAgent },
      });
      for (const line of response.headers.getSetCookie()) {
        const [pair = ""] = line.split(";");
        jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
      }
      const location = response.headers.get("location") ?? "";
      return { status: response.status, location, headers: response.headers };
    },
    /** Calls as a page does; `from` is the origin of the page. */
    async call(
      promptId: string,
      rpc: string,
      request: object = {},
      from: string | undefined = origin,
    ): Promise<Answered> {
      const response = await fetch(`${origin}/mfa.v1.MfaService/${rpc}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          authorization: `Prompt ${promptId}`,
          cookie: cookie(),
          "user-agent": userAgent,
          ...(from !== undefined && { origin: from }),
        },
        body: JSON.stringify(request),
      });
      const reply = (await response.json()) as Reply;
      const detail = reply.details?.find(({ type }) => type === "google.rpc.ErrorInfo");
      return {
        status: response.status,
        reason: detail?.debug?.reason ?? (response.ok ? "" : (reply.code ?? "")),
        reply,
      };
    },
    /** Proves the prompt's challenge by a proof in JSON. */
    async prove(promptId: string, proof: object): Promise<Answered> {
      const { reply } = await this.call(promptId, "GetPrompt");
      return this.call(promptId, "VerifyChallenge", { challengeId: reply.challenge?.challengeId, proof });
    },
    /** Ends the prompt; answers the parameters that the browser brings to the application. */
    async finish(promptId: string) {
      const { reply, reason } = await this.call(promptId, "FinishPrompt");
      if (reason) throw new Error(reason);
      const url = leadsTo(reply);
      return { url, code: url.searchParams.get("code") ?? "", parameters: Object.fromEntries(url.searchParams) };
    },
  };
}

/** A browser of a test. */
export type HttpBrowser = ReturnType<typeof httpBrowser>;

/** A prompt that a browser has opened and proved by an app's code; answers the code that the browser brings back. */
export async function provenPrompt(
  service: ServiceUnderTest,
  app: { code(): Promise<string> },
  { name = "shop", asked = {} }: { name?: string; asked?: Partial<AskedPrompt> } = {},
) {
  const shop = application(service, name);
  const begun = await shop.begin("ann", asked);
  const browser = httpBrowser(service);
  await browser.open(begun.promptUrl);
  const proven = await browser.prove(begun.promptId, { totpCode: await app.code() });
  if (proven.reason) throw new Error(proven.reason);
  const { code, parameters } = await browser.finish(begun.promptId);
  return { shop, begun, browser, code, parameters };
}

/** The `authorization` of a browser that has opened a prompt, as the service reads it. */
export async function promptCredential(service: ServiceUnderTest): Promise<string> {
  const browser = httpBrowser(service);
  await browser.open((await application(service).begin()).promptUrl);
  return `Prompt ${[...browser.jar.values()][0]}`;
}

/** What an application demanded of a request (RFC 9470), as its middleware says it. */
export interface DemandedProof {
  readonly acrValues: string;
  /** Seconds. */
  readonly maxAge?: number;
  readonly strength?: string;
  /** The action to confirm. */
  readonly action?: { readonly type: string; readonly parameters: Readonly<Record<string, string>> };
}

const CHALLENGE = /\berror="?insufficient_user_authentication"?/;

async function demandOf(response: Response): Promise<DemandedProof | undefined> {
  const header = response.headers.get("www-authenticate") ?? "";
  if (response.status !== 401 || !CHALLENGE.test(header)) return undefined;
  const body = (await response
    .clone()
    .json()
    .catch(() => ({}))) as Pick<DemandedProof, "strength" | "action">;
  const [, acrValues = "aal2"] = /\bacr_values="([^"]*)"/.exec(header) ?? [];
  const [, maxAge] = /\bmax_age="?(\d+)"?/.exec(header) ?? [];
  return {
    acrValues,
    ...(maxAge !== undefined && { maxAge: Number(maxAge) }),
    ...(body.strength !== undefined && { strength: body.strength }),
    ...(body.action !== undefined && { action: body.action }),
  };
}

/**
 * Wraps `fetch`: where the application demands a proof, `prove` has the user prove a factor (StepUp with the audience of
 * the backend and the action) and returns the assertion, which the request then carries. It is sent once more and no
 * oftener; undefined from `prove` leaves the refusal as it is. A request with a stream as its body cannot be sent twice.
 */
export function withStepUp(
  prove: (demand: DemandedProof) => Promise<string | undefined>,
  send: typeof fetch = fetch,
): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const again = request.clone();
    const response = await send(request);
    const demand = await demandOf(response);
    const assertion = demand && (await prove(demand));
    if (assertion === undefined) return response;
    again.headers.set("mfa-assertion", assertion);
    return send(again);
  };
}

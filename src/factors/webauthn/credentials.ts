import { recordChange, recordUpdate } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Position } from "../../db/page.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { userRepository } from "../../users/users.repository.ts";
import { acceptAnew } from "./odd-credentials.ts";
import { bytesOf, readAuthentication, saysVerified } from "./responses.ts";
import { type CredentialRow, webauthnRepository } from "./webauthn.repository.ts";
import type { WebAuthnOptions } from "./webauthn-options.ts";

/** What a page passes to the browser's Signal API (WebAuthn §5.1.10). */
export interface Signals {
  readonly rpId: string;
  readonly webauthnUserId: string;
  readonly acceptedCredentialIds: string[];
  readonly userName: string;
  readonly userDisplayName: string;
}

/** What password managers are to know of one relying party, or of each where the user has credentials. */
async function signalsFor(tx: Tx, owner: Owner, rpId?: string): Promise<Signals[]> {
  const credentials = webauthnRepository(tx);
  const user = await credentials.findUser(owner);
  if (!user) return [];
  const rows = await credentials.listAll(owner);
  const parties = rpId === undefined ? [...new Set(rows.map((row) => row.rpId))] : [rpId];
  return parties.map((party) => ({
    rpId: party,
    webauthnUserId: user.userHandle.toString("base64url"),
    acceptedCredentialIds: rows.filter((row) => row.rpId === party).map((row) => row.webauthnId.toString("base64url")),
    userName: user.userName,
    userDisplayName: user.userName,
  }));
}

/** What password managers are told when all of a user's credentials are forgotten: to be read before. */
export const forgottenSignals = async (tx: Tx, owner: Owner): Promise<Signals[]> =>
  (await signalsFor(tx, owner)).map((signals) => ({ ...signals, acceptedCredentialIds: [] }));

/** What users do with credentials that they have. */
export function createCredentials({ factors, keyring }: Pick<WebAuthnOptions, "factors" | "keyring">) {
  /** A new name is no change of what the user can prove: trust, open challenges and the epoch stay. */
  const recordRow = (tx: Tx, call: Call, owner: Owner, row: CredentialRow, verb: "updated" | "deleted") => {
    const isGone = verb === "deleted";
    return (isGone ? recordChange : recordUpdate)(tx, call, {
      owner,
      type: isGone ? "FACTOR_REMOVED" : "FACTOR_UPDATED",
      factorType: "WEBAUTHN",
      action: `webauthn.${verb}`,
      targetId: row.credentialId,
    });
  };

  return {
    /** A page of credentials, and the signals of all. */
    list: (call: Call, owner: Owner, page: { position: Position; size: number }) =>
      call.unit(async (tx) => ({
        ...(await webauthnRepository(tx).list(owner, page)),
        primary: await factors.primaryOf(tx, owner, call.now),
        signals: await signalsFor(tx, owner),
      })),

    find: (call: Call, owner: Owner, credentialId: string) =>
      call.unit(async (tx) => {
        const row = await webauthnRepository(tx).find({ ...owner, credentialId });
        return row ? { row, primary: await factors.primaryOf(tx, owner, call.now) } : new Refusal("NOT_FOUND");
      }),

    /** The credential of an answer that was good, and whether it verified the user. */
    findUsed: (call: Call, owner: Owner, response: unknown) =>
      call.unit(async (tx) => {
        const used = readAuthentication(response);
        const id = bytesOf(used?.rawId ?? "A");
        const row = (await webauthnRepository(tx).listAll(owner)).find(({ webauthnId }) => webauthnId.equals(id));
        return {
          credentialId: row?.credentialId ?? "",
          userVerified: !!row?.userVerified && !!used && saysVerified(used),
        };
      }),

    /** Renames a credential, if nobody has since `version`. */
    rename: (call: Call, owner: Owner, credentialId: string, change: { displayName: string; version: bigint }) =>
      call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const credentials = webauthnRepository(tx);
        const key = { ...owner, credentialId };
        const row = await credentials.find(key);
        if (!row) return new Refusal("NOT_FOUND");
        const stale = new Refusal("STALE_VERSION", { metadata: { version: String(row.version) } });
        if (BigInt(row.version) !== change.version) return stale;
        if (row.displayName === change.displayName) return new Refusal("EMPTY_UPDATE");
        const { displayName } = change;
        const renamed = await credentials.rename({ ...key, displayName, version: row.version }, call.now);
        if (!renamed) return stale;
        await recordRow(tx, call, owner, renamed, "updated");
        const [signals] = await signalsFor(tx, owner, row.rpId);
        return { row: renamed, primary: await factors.primaryOf(tx, owner, call.now), signals };
      }),

    /** Lets an administrator take a credential anew whose flag or counter went astray. */
    async acceptAnew(call: Call, owner: Owner, { credentialId, reason }: { credentialId: string; reason: string }) {
      if (call.caller.subject === owner.userId) return new Refusal("SELF_ACTION");
      return call.unit(async (tx) => {
        const row = await acceptAnew(tx, call, owner, { keyring, credentialId, reason });
        return row instanceof Refusal ? row : { row, primary: await factors.primaryOf(tx, owner, call.now) };
      });
    },

    /** Forgets a credential; what password managers keep of it is for the page to signal. */
    delete: (call: Call, owner: Owner, credentialId: string, confirmed: boolean) =>
      call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const row = await webauthnRepository(tx).delete({ ...owner, credentialId });
        if (!row) return new Refusal("NOT_FOUND");
        await factors.guardLast(tx, call, owner, confirmed);
        await recordRow(tx, call, owner, row, "deleted");
        const [signals] = await signalsFor(tx, owner, row.rpId);
        return { signals };
      }),
  };
}

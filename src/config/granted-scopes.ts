import { nearest } from "../core/nearest.ts";
import type { Config } from "./config.ts";

type Granting = Pick<Config, "issuers" | "listeners">;

/** A scope that the settings give to somebody, and the path of the setting. */
interface GrantedScope {
  readonly at: string;
  readonly scope: string;
}

const byRoles = ({ issuers }: Granting): GrantedScope[] =>
  issuers.flatMap(({ claims }, n) =>
    Object.entries(claims?.roles ?? {}).flatMap(([claim, roles]) =>
      Object.entries(roles).flatMap(([role, scopes]) =>
        scopes.map((scope) => ({ at: `issuers.${n}.claims.roles.${claim}.${role}`, scope })),
      ),
    ),
  );

const byCertificates = ({ listeners }: Granting): GrantedScope[] =>
  listeners.flatMap((listener, n) =>
    "mtls" in listener && listener.mtls
      ? listener.mtls.identities.flatMap(({ scopes }, m) =>
          scopes.map((scope) => ({ at: `listeners.${n}.mtls.identities.${m}.scopes`, scope })),
        )
      : [],
  );

/**
 * Says of each scope that the settings give to roles and certificates, and that no RPC asks for, where it stands and which
 * one was meant. It gives nobody anything, so the start goes on: a release may have dropped it.
 */
export const unknownScopes = (settings: Granting, known: ReadonlySet<string>): string[] =>
  [...byRoles(settings), ...byCertificates(settings)]
    .filter(({ scope }) => !known.has(scope))
    .map(({ at, scope }) => {
      const meant = nearest(scope, known);
      return `${at}: no RPC asks for the scope "${scope}"${meant ? `: did you mean "${meant}"?` : ""}`;
    });

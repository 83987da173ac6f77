import type { KeyObject } from "node:crypto";

/** One generation of the operator's key: two independent secrets under one id, never in the database. */
export interface RootKey {
  readonly id: string;
  /** Wraps the tenants' data keys and roots the keys of MACs. */
  readonly wrapping: KeyObject;
  /** Keys the digests of codes, so that a copy of the database alone cannot be searched for them. */
  readonly pepper: KeyObject;
}

/** The operator's keys: new things are made with `primary`, old ones open with whichever made them. */
export interface RootKeys {
  readonly primary: RootKey;
  readonly all: ReadonlyMap<string, RootKey>;
}

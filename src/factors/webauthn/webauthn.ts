import { createPasskeyAuthentication } from "./authentication.ts";
import { createCredentials } from "./credentials.ts";
import { createRegistration } from "./registration.ts";
import type { WebAuthnOptions } from "./webauthn-options.ts";

/** Passkeys and security keys: registration, proof, and what users do with those they have. */
export const createWebAuthn = (options: WebAuthnOptions) => ({
  registration: createRegistration(options),
  authentication: createPasskeyAuthentication(options),
  credentials: createCredentials(options),
});

/** WebAuthn as its handlers, and challenges, use it. */
export type WebAuthn = ReturnType<typeof createWebAuthn>;

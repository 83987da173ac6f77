// For pages: passkeys, and requests that are proved anew where the application asks for it.
export * from "../../../src/client/browser.ts";
export { type DemandedProof, withStepUp } from "./step-up.ts";

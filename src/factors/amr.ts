/** The method of this name that RFC 8176 has none for, as a URN of this service. */
export const ownMethod = (name: string): string => `urn:mfa:amr:${name}`;

/** A key that its hardware does not give away (RFC 8176). */
export const HARDWARE_KEY = "hwk";

/** A key that may be copied (RFC 8176). */
export const SOFTWARE_KEY = "swk";

/** That the authenticator verified its user. */
export const USER_VERIFIED: string = ownMethod("user-verified");

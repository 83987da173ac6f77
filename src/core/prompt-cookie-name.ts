/** The name of the cookie of a hosted prompt: one for each, so that several are open in one browser. */
export const promptCookieName = (promptId: string): string => `__Host-mfa_prompt_${promptId}`;

// For backends on Node, Bun and Deno.
export { type CompleteLogIn, completeLogIn, type LogInHooks, LogInRefused } from "./complete-log-in.ts";
export { as, type ConnectionOptions, createMfa, type Mfa } from "./connection.ts";
export { answerLogIn, awaitPhone, beginLogIn, finishLogIn, kindOf, prepareFactor } from "./log-in.ts";
export type {
  Answer,
  Begun,
  FactorKind,
  LoggedIn,
  LogInRequest,
  PendingLogIn,
  Prepared,
  Unchallenged,
  Verify,
  Verifying,
} from "./log-in-types.ts";
export {
  beginPromptLogIn,
  endedPromptCookie,
  finishPromptLogIn,
  type PromptRequest,
  type Returning,
  type SentToPrompt,
} from "./prompt-log-in.ts";

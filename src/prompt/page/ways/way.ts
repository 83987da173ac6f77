import type { OfferedFactor } from "../calls.ts";
import type { Conversation } from "../conversation.ts";
import type { Language } from "../words/words.ts";

/** What a part of the page is given that asks for one factor. */
export interface WayProps {
  readonly conversation: Conversation;
  readonly language: Language;
  readonly factor: OfferedFactor;
}

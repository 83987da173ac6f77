import { render } from "preact";
import { callsOf } from "./calls.ts";
import { createConversation } from "./conversation.ts";
import { Page } from "./page.tsx";
// Makes components that read a signal render anew when it changes.
import "@preact/signals";

// Behind the number sign, which is sent to nobody: the prompt, or "closed" where its address no longer opened.
const conversation = createConversation(callsOf(location.hash.slice(1)), (address) => location.replace(address));
render(<Page conversation={conversation} />, document.body);
void conversation.start();

import type { WayProps } from "./way.ts";

/** A passkey of this device, of a phone nearby, or of a security key. */
export function Passkey({ conversation, language: { words }, factor }: WayProps) {
  return (
    <>
      <p class="hint">{words.passkeyHint}</p>
      <button
        type="button"
        class="primary"
        disabled={conversation.busy.value}
        onClick={() => void conversation.usePasskey(factor)}
      >
        {words.usePasskey}
      </button>
    </>
  );
}

/** A phone that approves: it rings once the person asks for it, and they type the number that stands here. */
export function Phone({ conversation, language: { words }, factor }: WayProps) {
  const push = conversation.prepared.value?.push;
  return (
    <>
      {!push && <p class="hint">{words.phoneHint}</p>}
      {push && (
        <p class="number" role="status">
          {words.typeNumber} <strong>{push.number}</strong>
        </p>
      )}
      <button
        type="button"
        class={push ? "quiet" : "primary"}
        disabled={conversation.busy.value}
        onClick={() => void conversation.askPhone(factor)}
      >
        {push ? words.askAgain : words.askPhone}
      </button>
    </>
  );
}

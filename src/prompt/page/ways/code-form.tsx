import { useEffect, useRef } from "preact/hooks";
import type { WayProps } from "./way.ts";

interface CodeFormProps extends Pick<WayProps, "conversation" | "language"> {
  /** The name of the proof in the contract: "totpCode". */
  readonly kind: string;
  readonly hint: string;
  /** Whether the code is of digits only. */
  readonly isNumber: boolean;
}

/** A field for a code. Spaces are dropped, as codes are pasted with them; after a refusal it is there to type again. */
export function CodeForm({ conversation: { prove, busy, trouble }, language: { words }, ...form }: CodeFormProps) {
  const field = useRef<HTMLInputElement>(null);
  const refused = trouble.value;
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, [refused]);
  const submit = (event: Event) => {
    event.preventDefault();
    const value = field.current?.value.replace(/\s/g, "") ?? "";
    if (value !== "") void prove(form.kind, value);
  };
  return (
    <form onSubmit={submit}>
      <label for="code">{words.code}</label>
      <input
        id="code"
        ref={field}
        name="code"
        inputMode={form.isNumber ? "numeric" : "text"}
        autocomplete="one-time-code"
        autocapitalize="characters"
        spellcheck={false}
        aria-describedby="code-hint trouble"
        aria-invalid={refused !== undefined}
        required
      />
      <p id="code-hint" class="hint">
        {form.hint}
      </p>
      <button type="submit" class="primary" disabled={busy.value}>
        {words.confirm}
      </button>
    </form>
  );
}

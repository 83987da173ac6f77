import { useEffect, useState } from "preact/hooks";
import { type Delivery, serviceNow } from "../calls.ts";
import { inSeconds } from "../words/words.ts";
import { CodeForm } from "./code-form.tsx";
import type { WayProps } from "./way.ts";

/** The seconds until a time, counted down; 0 once it is over. */
function useSecondsUntil(time: string | undefined): number {
  const left = () => Math.max(0, Math.ceil((Date.parse(time ?? "") - serviceNow()) / 1000) || 0);
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    const timer = setInterval(() => setSeconds(left()), 1000);
    return () => clearInterval(timer);
  }, [time]);
  return seconds;
}

/** Sends a code again, once another may be asked for. */
function Again({ delivery, ...way }: WayProps & { readonly delivery: Delivery }) {
  const { conversation, language, factor } = way;
  const seconds = useSecondsUntil(delivery.resendAfterTime);
  return (
    <button
      type="button"
      class="quiet"
      disabled={conversation.busy.value || seconds > 0}
      onClick={() => void conversation.send(factor)}
    >
      {language.words.sendAgain}
      {seconds > 0 && ` (${inSeconds(language, seconds)})`}
    </button>
  );
}

/** A code by text message or e-mail: nothing is sent before the person asks for it. */
export function SentCode({ kind, ...way }: WayProps & { readonly kind: "smsCode" | "emailCode" }) {
  const { conversation, language, factor } = way;
  const { words } = language;
  const { sms, email } = conversation.prepared.value ?? {};
  const delivery = sms ?? email;
  const target = delivery?.maskedTarget || factor.maskedTarget || factor.displayName || "";
  if (!delivery) {
    return (
      <button
        type="button"
        class="primary"
        disabled={conversation.busy.value}
        onClick={() => void conversation.send(factor)}
      >
        {words.sendTo(target)}
      </button>
    );
  }
  return (
    <>
      <CodeForm {...{ conversation, language, kind }} hint={words.sentTo(target)} isNumber />
      <Again {...way} delivery={delivery} />
    </>
  );
}

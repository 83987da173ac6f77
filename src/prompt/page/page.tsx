import type { ComponentChild } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { OfferedFactor, Prompt } from "./calls.ts";
import type { Conversation, Trouble } from "./conversation.ts";
import { nameOf, Way } from "./ways/ways.tsx";
import { inSeconds, type Language, languageOf, listed } from "./words/words.ts";

interface PartProps {
  readonly conversation: Conversation;
  readonly language: Language;
}

/** A heading that is read out, and from which the keyboard goes on, whenever it changes; a field to type in comes first. */
function Heading({ children }: { readonly children: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = children;
    if (document.activeElement?.tagName !== "INPUT") heading.current?.focus();
  }, [children]);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** What went wrong last, in a sentence, with when to try again. */
function TroubleText({ trouble, language }: { readonly trouble: Trouble | undefined; readonly language: Language }) {
  const { words } = language;
  return (
    <p id="trouble" class="trouble" role="alert">
      {trouble && (words.refused[trouble.reason] ?? words.failed)}
      {trouble && trouble.waitS > 0 && ` ${words.waitFor(inSeconds(language, trouble.waitS))}`}
    </p>
  );
}

/** What is asked and by whom, and what about it looks odd. */
function About({ prompt, language }: { readonly prompt: Prompt; readonly language: Language }) {
  const { words } = language;
  const places = [
    ...(prompt.otherNetwork ? [words.otherNetwork] : []),
    ...(prompt.otherBrowser ? [words.otherBrowser] : []),
  ];
  return (
    <>
      <p>{words.lead(prompt.application || prompt.service || "")}</p>
      {prompt.challenge.renderedAction && (
        <p class="action">
          {words.action} <strong>{prompt.challenge.renderedAction}</strong>
        </p>
      )}
      {places.length > 0 && (
        <p class="warning">
          {words.elsewhere(listed(language, places))} {words.ifNotYou}
        </p>
      )}
    </>
  );
}

/** The factor that is asked for, best first, and the others on offer. */
function Asking({ conversation, language, prompt }: PartProps & { readonly prompt: Prompt }) {
  const { words } = language;
  const factor = conversation.chosen.value;
  const isOther = (one: OfferedFactor) => one.type !== factor?.type || one.factorId !== factor.factorId;
  const others = prompt.challenge.factors?.filter(isOther) ?? [];
  return (
    <>
      <Heading>{words.title}</Heading>
      <About {...{ prompt, language }} />
      {factor ? (
        <section aria-labelledby="way" class="way" key={`${factor.type} ${factor.factorId}`}>
          <h2 id="way">{nameOf({ language, factor })}</h2>
          <Way {...{ conversation, language, factor }} />
        </section>
      ) : (
        <p class="warning">{words.noFactor}</p>
      )}
      <TroubleText trouble={conversation.trouble.value} language={language} />
      {others.length > 0 && (
        <section aria-labelledby="others" class="others">
          <h2 id="others">{words.otherWays}</h2>
          <ul>
            {others.map((one) => (
              <li key={`${one.type} ${one.factorId}`}>
                <button type="button" onClick={() => conversation.choose(one)}>
                  {nameOf({ language, factor: one })}
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      <button type="button" class="quiet" onClick={() => void conversation.cancel()}>
        {words.cancel}
      </button>
    </>
  );
}

/** What the page shows at each stage. */
const stages: Readonly<Record<Conversation["stage"]["value"], (props: PartProps) => ComponentChild>> = {
  loading: ({ language: { words } }) => (
    <p class="loading" role="status">
      {words.loading}
    </p>
  ),
  asking: (props) => {
    const prompt = props.conversation.prompt.value;
    return prompt && <Asking {...props} prompt={prompt} />;
  },
  over: ({ conversation, language: { words } }) => (
    <>
      <Heading>{words.failed}</Heading>
      <p class="warning">{words.over[conversation.prompt.value?.challenge.state ?? ""] ?? words.endedHint}</p>
      <button type="button" class="primary" onClick={() => void conversation.cancel()}>
        {words.back}
      </button>
    </>
  ),
  leaving: ({ conversation, language: { words } }) => (
    <p role="status">{words.leaving(conversation.prompt.value?.returnHost ?? "")}</p>
  ),
  ended: ({ language: { words } }) => (
    <>
      <Heading>{words.ended}</Heading>
      <p>{words.endedHint}</p>
    </>
  ),
  unreachable: ({ conversation, language }) => (
    <>
      <Heading>{language.words.failed}</Heading>
      <TroubleText trouble={conversation.trouble.value} language={language} />
      <button type="button" class="primary" onClick={() => void conversation.start()}>
        {language.words.again}
      </button>
    </>
  ),
};

/** The page: one conversation, in the language that the backend or the browser asks for. */
export function Page({ conversation }: { readonly conversation: Conversation }) {
  const prompt = conversation.prompt.value;
  const language = languageOf([prompt?.locale ?? "", ...navigator.languages]);
  useEffect(() => {
    document.documentElement.lang = language.tag;
    document.documentElement.dir = language.direction;
  }, [language.tag]);
  const Stage = stages[conversation.stage.value];
  return (
    <main>
      <p class="service">{prompt?.service}</p>
      <Stage {...{ conversation, language }} />
    </main>
  );
}

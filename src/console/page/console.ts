import { createConnectTransport } from "@connectrpc/connect-web";
import { createPasskeys, reasonOf } from "../../client/browser.ts";

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T; // ids of index.html
const field = (form: HTMLFormElement, name: string) => form.elements.namedItem(name) as HTMLInputElement;

const session = byId<HTMLFormElement>("session");
const passkeys = createPasskeys(createConnectTransport({ baseUrl: location.origin }), () =>
  field(session, "token").value.trim(),
);
type Credential = Awaited<ReturnType<typeof passkeys.list>>[number];

const sentences: Readonly<Record<string, string>> = {
  INVALID_CREDENTIAL: "The token is not valid, or no longer.",
  INSUFFICIENT_USER_AUTHENTICATION: "A fresher token is needed, of a log-in with two factors (--aal2).",
  SIGNATURE_REJECTED: "The passkey was not accepted.",
  BACKUP_ELIGIBILITY_CHANGED: "The passkey has changed: use another factor, and register it anew.",
  CLONE_SUSPECTED: "The passkey may have been copied: use another factor, and register it anew.",
  CHALLENGE_EXPIRED: "That took too long; please try again.",
  DUPLICATE: "This passkey is registered already.",
  LIMIT_REACHED: "There are as many passkeys as allowed.",
  AUTHENTICATOR_NOT_ALLOWED: "Your organisation does not admit this authenticator.",
  LAST_FACTOR: "This is the last factor.",
  LOCKED: "Too many failed attempts; please wait a while.",
  RATE_LIMITED: "Too many requests; please wait a moment.",
  NotAllowedError: "It was cancelled, or no passkey could verify you.",
  InvalidStateError: "This authenticator is registered already.",
};

function tell(text: string, kind: "good" | "bad" | "" = ""): void {
  const status = byId("status");
  status.textContent = text;
  status.dataset.kind = kind;
}

/** Runs what a button asks for, one at a time, and says how it ended. */
async function run(work: () => Promise<string>): Promise<void> {
  const buttons = [...document.querySelectorAll("button")];
  for (const button of buttons) button.disabled = true;
  tell("…");
  try {
    tell(await work(), "good");
  } catch (thrown) {
    const reason = reasonOf(thrown);
    tell(sentences[reason] ?? `It did not work (${reason}).`, "bad");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

const onSubmit = (form: HTMLFormElement, work: () => Promise<string>) =>
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run(work);
  });

const dateOf = (time: Credential["createTime"]) =>
  time ? new Date(Number(time.seconds) * 1000).toLocaleString() : "never";

function facts(credential: Credential): string {
  return [
    credential.authenticatorName,
    credential.backedUp ? "synced" : credential.backupEligible ? "can be synced" : "on one device only",
    credential.userVerified ? "verifies you" : "",
    credential.cloneWarning ? "may have been copied" : "",
    `added ${dateOf(credential.createTime)}`,
    `last used ${dateOf(credential.lastUseTime)}`,
  ]
    .filter(Boolean)
    .join(" · ");
}

async function remove(credential: Credential): Promise<string> {
  try {
    await passkeys.remove(credential);
  } catch (thrown) {
    if (reasonOf(thrown) !== "LAST_FACTOR" || !confirm("This is your last factor. Delete it all the same?"))
      throw thrown;
    await passkeys.remove(credential, true);
  }
  await show();
  return `“${credential.displayName}” is deleted.`;
}

function item(credential: Credential): Node {
  const copy = byId<HTMLTemplateElement>("item").content.cloneNode(true) as DocumentFragment;
  const form = copy.querySelector("form") as HTMLFormElement;
  const name = field(form, "name");
  name.value = credential.displayName;
  (copy.querySelector(".facts") as HTMLElement).textContent = facts(credential);
  onSubmit(form, async () => {
    const { displayName } = await passkeys.rename(credential, name.value);
    await show();
    return `It is called “${displayName}” now.`;
  });
  form.querySelector(".danger")?.addEventListener("click", () => void run(() => remove(credential)));
  return copy;
}

/** Shows what there is; log-ins need one. */
async function show(): Promise<void> {
  const found = await passkeys.list();
  byId("list").replaceChildren(...found.map(item));
  byId("none").hidden = found.length > 0;
  byId("passkeys").hidden = false;
  byId("login").hidden = false;
}

onSubmit(session, async () => {
  await show();
  return "Signed in with the token.";
});

const add = byId<HTMLFormElement>("add");
onSubmit(add, async () => {
  const { credential } = await passkeys.register({ displayName: field(add, "name").value });
  add.reset();
  await show();
  return `“${credential?.displayName}” is registered.`;
});

onSubmit(byId("login"), async () => {
  const { credentialId, userVerified } = await passkeys.authenticate();
  await show();
  const used = (await passkeys.list()).find((credential) => credential.credentialId === credentialId);
  return `Logged in with “${used?.displayName}”${userVerified ? ", and you were verified" : ""}.`;
});

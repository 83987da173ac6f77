import { createTransport } from "nodemailer";
import type { Carrier } from "./carrier.ts";
import { type Outcome, unforeseen } from "./provider.ts";

/** A mail server that takes our mail. */
export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte (port 465) instead of STARTTLS. Without either nothing is sent. */
  readonly implicitTls: boolean;
  /** The CA of the server's certificate, PEM, where it is not a public one. */
  readonly ca?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** "Example <no-reply@example.com>". */
  readonly from: string;
}

/** What the mailer's errors hold of a server's reply. */
interface Reply {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  /** What was replied to. */
  readonly command?: string;
}

/** Below what an attempt may take as a whole, so that a hanging server is told apart from a slow one. */
const TIMEOUTS = { connectionTimeout: 5_000, greetingTimeout: 5_000, socketTimeout: 8_000, dnsTimeout: 5_000 };
const NOBODY = new Set([550, 551, 553]);
/** A log-in is needed, failed, or needs another mechanism or encryption (RFC 4954 §6). */
const NO_LOGIN = new Set([530, 534, 535, 538]);
const TOO_BIG = 552;
/** "5.7.1 relay access denied": we may not, whoever the recipient is (RFC 3463 §3.8). */
const NO_RIGHT = /^5\d\d[ -]5\.7\./;

/**
 * A reply of the server's decides by its class (RFC 5321 §4.2.1); everything before one is tried again. One that comes
 * before the recipient's turn is about us: our log-in, our sender, our host; so is one at their turn that names our
 * right to send.
 */
function outcomeOf(thrown: unknown): Outcome {
  const { code, responseCode, command, response = "" } = thrown as Reply;
  const isReply = responseCode !== undefined && responseCode >= 400;
  if (!isReply) return code === "EAUTH" ? { outcome: "denied", error: code } : unforeseen(thrown);
  const error = `SMTP_${responseCode}`;
  if (responseCode < 500) return { outcome: "retry", error };
  const isAboutAddress = command === "RCPT TO" && !NO_RIGHT.test(response);
  const isAboutMessage = isAboutAddress || command === "DATA" || responseCode === TOO_BIG;
  if (!isAboutMessage || NO_LOGIN.has(responseCode)) return { outcome: "denied", error };
  return { outcome: code === "EENVELOPE" && NOBODY.has(responseCode) ? "gone" : "refused", error };
}

/**
 * Mail by SMTP, always encrypted, as plain text: there is no markup that a value could break out of. A connection a
 * message, so that one that broke harms no other. The Message-ID is the same for every attempt.
 */
export function smtpCarrier({ host, port, implicitTls, ca, user, password, from }: SmtpOptions): Carrier {
  const transport = createTransport({
    host,
    port,
    secure: implicitTls,
    requireTLS: true,
    tls: { minVersion: "TLSv1.2", ...(ca && { ca }) },
    ...(user && { auth: { user, pass: password ?? "" } }),
    ...TIMEOUTS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = /@([^>\s]+)/.exec(from)?.[1] ?? "localhost";
  return {
    name: "smtp",
    carry: async ({ to, subject, text }, { idempotencyKey, createTime }, signal) => {
      const mail = {
        from,
        // An object, so that no list or name can be read out of an address.
        to: { name: "", address: to },
        subject,
        text,
        date: createTime,
        messageId: `<${idempotencyKey}@${domain}>`,
        headers: { "auto-submitted": "auto-generated" },
        // Ends the connection: what is tried again elsewhere must not arrive here after all.
        signal,
      };
      return transport.sendMail(mail).then((): Outcome => ({ outcome: "delivered" }), outcomeOf);
    },
  };
}

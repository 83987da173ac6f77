import { createTransport } from "nodemailer";
import type { Carrier } from "./carrier.ts";
import { type DeliveryOutcome, unforeseen } from "./provider.ts";

/** The settings of an SMTP server. */
export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  /** Implicit TLS (port 465) instead of STARTTLS. Without either nothing is sent. */
  readonly implicitTls: boolean;
  /** The CA of the server's certificate, PEM, where it is not a public one. */
  readonly ca?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** "Example <no-reply@example.com>". */
  readonly from: string;
}

/** The fields of the mailer's errors that hold the server's reply. */
interface Reply {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  /** The command that was replied to. */
  readonly command?: string;
}

/** Below the limit of an attempt, so that a hanging server is distinguished from a slow one. */
const TIMEOUTS = { connectionTimeout: 5_000, greetingTimeout: 5_000, socketTimeout: 8_000, dnsTimeout: 5_000 };
const NOBODY = new Set([550, 551, 553]);
/** A log-in is needed, failed, or needs another mechanism or encryption (RFC 4954 §6). */
const NO_LOGIN = new Set([530, 534, 535, 538]);
const TOO_BIG = 552;
/** "5.7.1 relay access denied": no permission, for any recipient (RFC 3463 §3.8). */
const NO_RIGHT = /^5\d\d[ -]5\.7\./;

/**
 * The class of the server's reply decides (RFC 5321 §4.2.1); without a reply the message is retried. A refusal before
 * RCPT concerns this service: its log-in, sender or host; so does one at RCPT that names the permission to send.
 */
function outcomeOf(thrown: unknown): DeliveryOutcome {
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
      return transport.sendMail(mail).then((): DeliveryOutcome => ({ outcome: "delivered" }), outcomeOf);
    },
  };
}

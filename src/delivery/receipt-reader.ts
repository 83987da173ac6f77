/** A delivery report as received by the gateway. */
export interface Report {
  /** The query of its URL. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A provider's report on an accepted message. `error` is a kind of failure in capitals. */
export interface DeliveryReceipt {
  readonly tenantId: string;
  readonly idempotencyKey: string;
  readonly state: "delivered" | "failed";
  readonly error: string;
  /** Whether the provider refuses this service as a whole. */
  readonly isDenied?: boolean;
}

/**
 * Reads a provider's reports. Several accounts of one provider share a path; each recognises its own reports by the
 * signature.
 */
export interface ReceiptReader {
  /** The last part of the path: "twilio". */
  readonly path: string;
  /** Reads a report; returns "unsigned" for a foreign signature, undefined where the state is not final. */
  read(report: Report): DeliveryReceipt | "unsigned" | undefined;
}

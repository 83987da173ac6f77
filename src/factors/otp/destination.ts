/** Where codes go, as a channel has read it. */
export interface Destination {
  /** In the form that is sent to. */
  readonly address: string;
  /** Equal for equal destinations, however they were written. */
  readonly identity: string;
  /** What lists show. */
  readonly masked: string;
  /** ISO 3166-1 alpha-2; empty where there is none. */
  readonly country: string;
  /** What adjacent destinations have in common; empty where nothing. */
  readonly block: string;
}

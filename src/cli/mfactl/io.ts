/** What a command has of the world: tests give their own. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly stdin: () => Promise<string>;
  /** Whether a person reads the output and can be asked. */
  readonly isTty: boolean;
  /** Columns of the screen. */
  readonly width: number;
  /** Asks a person; false where nobody can be asked. */
  readonly ask: (question: string) => Promise<boolean>;
  readonly now: () => Date;
  /** Ends what waits, as Ctrl-C does. */
  readonly signal: AbortSignal;
}

/** The exit codes of mfactl. */
export const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3, partly: 4 } as const;

/** One of the exit codes. */
export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with an exit code and a message in whole sentences. */
export class Stop extends Error {
  override readonly name = "Stop";
  readonly exit: Exit;

  constructor(exit: Exit, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** A mistake of the command line. */
export const usage = (message: string) => new Stop(EXIT.usage, message);

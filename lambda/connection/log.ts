/** What a log line may carry: plain values that somebody chose, never an object from outside. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Structured logging as use cases see it. Fields carry the user id, and never a token, secret, e-mail or Spotify id. */
export interface Log {
  /** Whether lines for debugging are written: a sweep would make a million of them for nothing. */
  readonly writesDebug: boolean;
  debug(message: string, fields: LogFields): void;
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, fields: LogFields): void;
}

/** The values of a log line: plain values that our code chose, never an object from outside. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Structured logging for use cases. Fields contain the user id, and never a token, secret, e-mail address or Spotify id. */
export interface Log {
  /** Whether debug lines are written: otherwise a sweep would build a million of them for nothing. */
  readonly writesDebug: boolean;
  debug(message: string, fields: LogFields): void;
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, fields: LogFields): void;
}

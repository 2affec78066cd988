/**
 * Something outside the functions did not do its part: the database, a queue, a secret, Supabase's keys. Such an error is
 * expected, is reported by its code and never holds a token; every other error is a defect of ours.
 */
export class OperationalError<Code extends string = string> extends Error {
  override readonly name: string = 'OperationalError';
  readonly code: Code;

  /** @param message what is wrong and what to do, for the log */
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Says what went wrong, as a log line does. Throws everything but an {@link OperationalError}: a defect must not pass for an outage. */
export function describeFailure(error: unknown): { readonly code: string; readonly reason: string } {
  if (!(error instanceof OperationalError)) {
    throw error;
  }
  return { code: error.code, reason: error.message };
}

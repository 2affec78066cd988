/**
 * A failure outside of the functions: of the database, a queue, a secret, Supabase's keys. Such an error is
 * expected, is reported by its code and never contains a token. Every other error is a defect in our code.
 */
export class OperationalError<Code extends string = string> extends Error {
  override readonly name: string = 'OperationalError';
  readonly code: Code;

  /** @param message the problem and what to do, for the log */
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Describes a failure for a log line. Throws everything but an {@link OperationalError}: a defect must not look like an outage. */
export function describeFailure(error: unknown): { readonly code: string; readonly reason: string } {
  if (!(error instanceof OperationalError)) {
    throw error;
  }
  return { code: error.code, reason: error.message };
}

/** A command failed. The message is one line that says what to do. */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly code = 'OPERATOR_ERROR';
}

/** The command line is invalid. The message is one line that says what to write. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}

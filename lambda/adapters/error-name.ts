/** What an error is called. Its message is left out of logs: it may quote what was sent. */
export function getErrorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error';
}

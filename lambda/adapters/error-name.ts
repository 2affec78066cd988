/** The name of an error. Logs omit its message, which may quote data that was sent. */
export function getErrorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error';
}

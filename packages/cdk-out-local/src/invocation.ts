/** The result of an invocation; `payload` is JSON text, an error object if `functionError` is set. */
export interface InvocationResult {
  readonly payload: string;
  readonly functionError?: 'Unhandled';
}

/** Receives every line that a function, or a service on its behalf, writes to its log. */
export type OnLog = (source: string, line: string) => void;

/** The result of an invocation that the platform ended. */
export function platformError(errorType: string, errorMessage: string): InvocationResult {
  return { payload: JSON.stringify({ errorType, errorMessage }), functionError: 'Unhandled' };
}

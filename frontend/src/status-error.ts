/**
 * Why a check has no answer.
 *
 * - `signed_out`: there is no access token, nothing was sent.
 * - `unauthorized`: 401, the session has ended.
 * - `forbidden`: 403, the session belongs to another user.
 * - `rejected`: another 4xx, such as 404 for a wrong address.
 * - `unexpected_answer`: a success without a valid answer, such as an HTML page.
 * - `unavailable`: 429, 5xx, no answer in time, or no answer at all. A page cannot tell a failed network from an answer
 *   without CORS headers, such as the gateway's own.
 */
export type StatusErrorCode =
  | 'signed_out'
  | 'unauthorized'
  | 'forbidden'
  | 'rejected'
  | 'unexpected_answer'
  | 'unavailable';

/** A failed check. Branch on `code`. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  declare readonly code: StatusErrorCode;

  /** The HTTP status; null if there was no answer. */
  declare readonly status: number | null;

  /** How long the API asks to wait, at most an hour; 0 if it does not say. */
  declare readonly retryAfterSeconds: number;

  constructor(
    code: StatusErrorCode,
    properties: {
      readonly status?: number;
      readonly detail?: string | null;
      readonly retryAfterSeconds?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    const { status = null, detail, retryAfterSeconds = 0, cause } = properties;
    super(detail ?? 'Spotify cannot be checked right now.', { cause });
    this.code = code;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** For the user: the `detail` of a problem (RFC 9457), the gateway's `message`, or our own text. Not markup. */
  get detail(): string {
    return this.message;
  }
}

/** Turns any failure into a StatusError. */
export function toStatusError(error: unknown): StatusError {
  return error instanceof StatusError ? error : new StatusError('unavailable', { cause: error });
}

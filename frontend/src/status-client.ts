import { browserClock, type Clock, computeBackoffMilliseconds } from './clock.ts';
import { type ConnectionStatus, readStatus } from './connection-status.ts';
import { readMembers, readText } from './json.ts';
import { readRetryAfterSeconds } from './retry-after.ts';
import { StatusError, type StatusErrorCode, toStatusError } from './status-error.ts';

/** The API answers within 10 s. */
const ATTEMPT_TIMEOUT_MILLISECONDS = 12_000;

const FIRST_BACKOFF_MILLISECONDS = 500;

/** No attempt begins later than this after the first: the user is waiting. */
const PATIENCE_MILLISECONDS = 5_000;

export interface StatusClientOptions {
  /** URL of the API: the stack's output `ApiUrl`. */
  readonly baseUrl: string;

  /** The access token of the user's Supabase session; null if no user is signed in. Called before every attempt. */
  readonly getAccessToken: () => Promise<string | null> | string | null;

  /** @default - the browser's */
  readonly fetch?: typeof fetch;

  /** @default - the browser's */
  readonly clock?: Clock;
}

/** The status call of one signed-in user. */
export interface StatusClient {
  /**
   * Asks whether the user is connected. The API refreshes a token that is about to expire before it answers.
   *
   * Retries `unavailable` with backoff and not before `Retry-After` has passed, for at most 5 s. Retries
   * nothing else.
   *
   * @returns the status; rejects with a StatusError if there is none, with the signal's reason if the signal is aborted
   */
  check(userId: string, options?: { readonly signal?: AbortSignal }): Promise<ConnectionStatus>;
}

/** One client serves a whole page, so create it outside of components. */
export function createStatusClient({
  baseUrl,
  getAccessToken,
  fetch = (input, init) => globalThis.fetch(input, init),
  clock = browserClock,
}: StatusClientOptions): StatusClient {
  // A template, because a variable that was not set at build time is undefined here, despite its type.
  const root = `${baseUrl}`.replace(/\/+$/, '');

  return {
    async check(userId, { signal } = {}) {
      const deadline = clock.now() + PATIENCE_MILLISECONDS;
      for (let failures = 0; ; failures += 1) {
        try {
          return await within(ATTEMPT_TIMEOUT_MILLISECONDS, signal, (ended) => ask(userId, ended));
        } catch (error) {
          if (!(error instanceof StatusError) || error.code !== 'unavailable') {
            throw error;
          }
          const wait =
            error.retryAfterSeconds * 1_000 +
            computeBackoffMilliseconds(failures, FIRST_BACKOFF_MILLISECONDS, PATIENCE_MILLISECONDS, clock);
          if (clock.now() + wait > deadline) {
            throw error;
          }
          // Ends at the timeout, or early with the signal, whose reason the next attempt rejects with.
          await within(wait, signal, () => new Promise(() => {})).catch(() => {});
        }
      }
    },
  };

  async function ask(userId: string, signal: AbortSignal): Promise<ConnectionStatus> {
    try {
      const accessToken = await getAccessToken();
      if (!accessToken) {
        throw new StatusError('signed_out');
      }
      const response = await fetch(`${root}/api/v1/agents/music/status/${encodeURIComponent(userId)}`, {
        headers: { authorization: `Bearer ${accessToken}` },
        signal,
      });
      const body = readMembers(await response.text());
      const status = response.ok ? readStatus(body) : null;
      if (status !== null) {
        return status;
      }
      throw new StatusError(readCode(response), {
        status: response.status,
        detail: readText(body['detail']) ?? readText(body['message']),
        retryAfterSeconds: readRetryAfterSeconds(response.headers.get('retry-after'), clock.now()),
      });
    } catch (error) {
      throw toStatusError(error);
    }
  }

  /**
   * Settles like `work`; rejects as `unavailable` if the time is over first, and with the caller's reason if the caller
   * aborts first. The signal then tells the work to end.
   */
  async function within<T>(
    milliseconds: number,
    caller: AbortSignal | undefined,
    work: (ended: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const scope = new AbortController();
    let cancelTimer = () => {};
    try {
      return await new Promise((resolve, reject) => {
        caller?.throwIfAborted();
        caller?.addEventListener('abort', () => reject(caller.reason), { signal: scope.signal });
        cancelTimer = clock.after(milliseconds, () => reject(new StatusError('unavailable')));
        work(scope.signal).then(resolve, reject);
      });
    } finally {
      cancelTimer();
      scope.abort();
    }
  }
}

function readCode({ ok, status }: Response): StatusErrorCode {
  if (ok) {
    return 'unexpected_answer';
  }
  if (status === 429 || status >= 500) {
    return 'unavailable';
  }
  return status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : 'rejected';
}

import { browserClock, type Clock, computeBackoffMilliseconds } from './clock.ts';
import { type ConnectionStatus, readStatus } from './connection-status.ts';
import { readMembers, readText } from './json.ts';
import { readRetryAfterSeconds } from './retry-after.ts';
import { StatusError, type StatusErrorCode, toStatusError } from './status-error.ts';

/** The API answers within 10 s. */
const ATTEMPT_TIMEOUT_MILLISECONDS = 12_000;

const FIRST_BACKOFF_MILLISECONDS = 500;

/** No attempt begins later than this after the first: somebody is looking at the page. */
const PATIENCE_MILLISECONDS = 5_000;

export interface StatusClientOptions {
  /** Address of the API: the stack's output `ApiUrl`. */
  readonly baseUrl: string;

  /** The access token of the user's Supabase session; null when nobody is signed in. Asked before every attempt. */
  readonly getAccessToken: () => Promise<string | null> | string | null;

  /** @default - the browser's */
  readonly fetch?: typeof fetch;

  /** @default - the browser's */
  readonly clock?: Clock;
}

/** The status call, as one signed-in user makes it. */
export interface StatusClient {
  /**
   * Asks whether the user is connected. The API refreshes a token that is about to run out before it answers.
   *
   * What is `unavailable` is asked again, with backoff and no sooner than `Retry-After` says, for as long as that
   * takes at most 5 s. Nothing else is.
   *
   * @returns the status; rejects with a StatusError when there is none, with the signal's reason when that is aborted
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
  // A template, because a variable that was not set at build time is undefined here, whatever its type says.
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
          // Ends with the time, or early with the signal, which the next attempt rejects with.
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
   * Settles as `work` does; rejects as `unavailable` when the time is over first, and with the caller's reason when it
   * aborts first. Then the signal tells the work to end.
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

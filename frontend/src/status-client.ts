import { backoffMilliseconds, browserClock, type Clock } from './clock.ts';
import { type ConnectionStatus, statusIn } from './connection-status.ts';
import { membersIn, textIn } from './json.ts';
import { retryAfterSeconds } from './retry-after.ts';
import { StatusError, type StatusErrorCode } from './status-error.ts';

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
  fetch = (...parameters) => globalThis.fetch(...parameters),
  clock = browserClock,
}: StatusClientOptions): StatusClient {
  // A template, because a variable that was not set at build time is undefined here, whatever its type says.
  const root = `${baseUrl}`.replace(/\/+$/, '');

  return {
    async check(userId, { signal = new AbortController().signal } = {}) {
      const startedAt = clock.now();
      for (let failures = 0; ; failures += 1) {
        signal.throwIfAborted();
        const outcome = await attempt(userId, signal).catch((error: StatusError) => error);
        signal.throwIfAborted();
        if (!(outcome instanceof StatusError)) {
          return outcome;
        }
        const wait = Math.max(
          backoffMilliseconds(failures, FIRST_BACKOFF_MILLISECONDS, PATIENCE_MILLISECONDS, clock),
          (outcome.retryAfterSeconds ?? 0) * 1_000,
        );
        if (outcome.code !== 'unavailable' || clock.now() + wait - startedAt > PATIENCE_MILLISECONDS) {
          throw outcome;
        }
        await pause(wait, signal);
      }
    },
  };

  async function attempt(userId: string, signal: AbortSignal): Promise<ConnectionStatus> {
    const scope = new AbortController();
    const end = () => scope.abort(signal.reason);
    signal.addEventListener('abort', end);
    try {
      // The time is kept here rather than by the request: waiting for the access token counts, too.
      return await Promise.race([
        ask(userId, scope.signal),
        pause(ATTEMPT_TIMEOUT_MILLISECONDS, scope.signal).then(() => {
          throw new StatusError('unavailable');
        }),
      ]);
    } finally {
      signal.removeEventListener('abort', end);
      scope.abort();
    }
  }

  async function ask(userId: string, signal: AbortSignal): Promise<ConnectionStatus> {
    let response: Response;
    let text: string;
    try {
      const accessToken = await getAccessToken();
      if (!accessToken) {
        throw new StatusError('signed_out', { detail: 'Please sign in.' });
      }
      response = await fetch(`${root}/api/v1/agents/music/status/${encodeURIComponent(userId)}`, {
        headers: { authorization: `Bearer ${accessToken}` },
        cache: 'no-store',
        signal,
      });
      text = await response.text();
    } catch (error) {
      throw error instanceof StatusError ? error : new StatusError('unavailable', { cause: error });
    }
    const body = membersIn(text);
    const status = response.ok ? statusIn(body) : null;
    if (status !== null) {
      return status;
    }
    throw new StatusError(codeOf(response), {
      status: response.status,
      detail: textIn(body['detail']) ?? textIn(body['message']),
      retryAfterSeconds: retryAfterSeconds(response.headers, clock.now()),
    });
  }

  /** Resolves after that time; rejects with the signal's reason when that is aborted first. */
  function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const interrupt = () => {
        cancel();
        reject(signal.reason);
      };
      const cancel = clock.after(milliseconds, () => {
        signal.removeEventListener('abort', interrupt);
        resolve();
      });
      signal.addEventListener('abort', interrupt);
    });
  }
}

function codeOf({ ok, status }: Response): StatusErrorCode {
  if (ok) {
    return 'unexpected_answer';
  }
  if (status === 429 || status >= 500) {
    return 'unavailable';
  }
  return status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : 'rejected';
}

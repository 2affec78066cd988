import { backoffMilliseconds, type Clock } from './clock.ts';
import type { ConnectionStatus } from './connection-status.ts';
import { CHECKING, type ConnectionView, viewOf, viewWithoutAnswer } from './connection-view.ts';
import {
  clearLastKnownState,
  type KeyValueStorage,
  LAST_KNOWN_STATE_KEY,
  lastKnownStatusIn,
  readLastKnownState,
  writeLastKnownState,
} from './last-known-state.ts';
import type { StatusClient } from './status-client.ts';
import { StatusError, type StatusErrorCode } from './status-error.ts';

/** The API replaces an access token that has less than five minutes left. */
const CHECK_BEFORE_EXPIRY_MILLISECONDS = 2 * 60 * 1_000;

/** Where a clock is wrong, every expiry seems near or far. */
const SHORTEST_PAUSE_MILLISECONDS = 60 * 1_000;
const LONGEST_PAUSE_MILLISECONDS = 24 * 60 * 60 * 1_000;

const FIRST_BACKOFF_MILLISECONDS = 5_000;
const LONGEST_BACKOFF_MILLISECONDS = 5 * 60 * 1_000;

/** Moments at which somebody looks at the page again, or another tab has news. */
const PAGE_EVENTS = ['focus', 'visibilitychange', 'pageshow', 'online', 'storage'];

export interface ConnectionWatchDependencies {
  readonly client: StatusClient;
  readonly storage: KeyValueStorage;
  readonly clock: Clock;
}

/** Keeps the view of one user's connection up to date for as long as anybody listens. */
export interface ConnectionWatch {
  current(): ConnectionView;

  /** The first listener starts a check at once; without listeners nothing is asked, and nothing is remembered. */
  subscribe(listener: () => void): () => void;

  /** Asks now, in place of a check that is under way. Resolves when the view says what came of it; never rejects. */
  recheck(): Promise<void>;

  /** Ends a check that is under way and knows nothing any more. */
  reset(): void;
}

/** @param onEnd is called when the last listener has left */
export function watchConnection(
  userId: string,
  { client, storage, clock }: ConnectionWatchDependencies,
  onEnd: () => void,
): ConnectionWatch {
  const listeners = new Set<() => void>();
  const lastKnown = lastKnownStatusIn(readLastKnownState(storage), userId, clock.now());
  let view = lastKnown === null ? CHECKING : viewOf(lastKnown, false, clock.now());
  let isWatching = false;
  let request: AbortController | null = null;
  let cancelNextCheck = () => {};
  let failures = 0;
  let notBefore = 0;

  return { current: () => view, subscribe, recheck: check, reset };

  function subscribe(listener: () => void): () => void {
    const own = () => listener();
    listeners.add(own);
    if (!isWatching) {
      isWatching = true;
      // Another user's, or of no use.
      if (lastKnown === null) clearLastKnownState(storage);
      for (const type of PAGE_EVENTS) window.addEventListener(type, onPageEvent);
      check();
    }
    return () => {
      listeners.delete(own);
      // Not at once: a component that replaces this one subscribes a moment later and takes over what is known.
      queueMicrotask(endIfUnheard);
    };
  }

  function endIfUnheard(): void {
    if (isWatching && listeners.size === 0) {
      isWatching = false;
      for (const type of PAGE_EVENTS) window.removeEventListener(type, onPageEvent);
      reset();
      onEnd();
    }
  }

  function onPageEvent(event: Event): void {
    if (event.type === 'storage') {
      onStored(event as StorageEvent);
    } else if (
      request === null &&
      clock.now() >= notBefore &&
      (event as PageTransitionEvent).persisted !== false
    ) {
      checkIfVisible();
    }
  }

  /** Another tab has learned something, or its user has signed out. */
  function onStored({ key, newValue }: StorageEvent): void {
    if (newValue === null && (key === null || key === LAST_KNOWN_STATE_KEY)) {
      reset();
    } else if (key === LAST_KNOWN_STATE_KEY) {
      const status = lastKnownStatusIn(newValue, userId, clock.now());
      const news = status && viewOf(status, false, clock.now());
      if (
        news &&
        (news.state !== view.state || news.connection?.reauthorizeBy !== view.connection?.reauthorizeBy)
      ) {
        show(news);
        checkIfVisible();
      }
    }
  }

  function checkIfVisible(): void {
    if (document.visibilityState !== 'hidden') {
      check();
    }
  }

  async function check(): Promise<void> {
    halt();
    const own = new AbortController();
    request = own;
    let outcome: ConnectionStatus | StatusError;
    try {
      outcome = await client.check(userId, { signal: own.signal });
    } catch (error) {
      outcome = error instanceof StatusError ? error : new StatusError('unavailable', { cause: error });
    }
    if (!own.signal.aborted) {
      request = null;
      settle(outcome);
    }
  }

  function settle(outcome: ConnectionStatus | StatusError): void {
    if (outcome instanceof StatusError || outcome.kind === 'unavailable') {
      settleWithoutAnswer(outcome instanceof StatusError ? outcome.code : outcome.kind, outcome);
      return;
    }
    failures = 0;
    notBefore = 0;
    writeLastKnownState(storage, userId, outcome);
    show(viewOf(outcome, true, clock.now()));
    if (outcome.kind === 'connected' && outcome.expiresAt !== null) {
      const untilExpiry = Date.parse(outcome.expiresAt) - clock.now();
      checkAfter(Math.max(SHORTEST_PAUSE_MILLISECONDS, untilExpiry - CHECK_BEFORE_EXPIRY_MILLISECONDS));
    }
  }

  function settleWithoutAnswer(
    code: StatusErrorCode,
    { message, retryAfterSeconds }: { readonly message: string; readonly retryAfterSeconds: number | null },
  ): void {
    if (code === 'forbidden') {
      // The session belongs to somebody else, who is not to see what this user's state was.
      clearLastKnownState(storage);
      view = CHECKING;
    }
    show(viewWithoutAnswer(view, message));
    if (code === 'unavailable' || code === 'unexpected_answer') {
      const asked = (retryAfterSeconds ?? 0) * 1_000;
      notBefore = clock.now() + asked;
      checkAfter(
        asked +
          backoffMilliseconds(failures, FIRST_BACKOFF_MILLISECONDS, LONGEST_BACKOFF_MILLISECONDS, clock),
      );
      failures += 1;
    }
  }

  function checkAfter(milliseconds: number): void {
    if (isWatching) {
      cancelNextCheck = clock.after(Math.min(LONGEST_PAUSE_MILLISECONDS, milliseconds), checkIfVisible);
    }
  }

  function reset(): void {
    halt();
    failures = 0;
    notBefore = 0;
    show(CHECKING);
  }

  function halt(): void {
    request?.abort();
    request = null;
    cancelNextCheck();
  }

  function show(next: ConnectionView): void {
    view = next;
    for (const listener of listeners) listener();
  }
}

import { browserClock, type Clock, computeBackoffMilliseconds } from './clock.ts';
import type { ConnectionStatus } from './connection-status.ts';
import { CHECKING, type ConnectionView, toView, toViewWithoutAnswer } from './connection-view.ts';
import {
  clearLastKnownStatus,
  LAST_KNOWN_STATUS_KEY,
  type OpenStorage,
  parseLastKnownStatus,
  readLastKnownStatus,
  writeLastKnownStatus,
} from './last-known-status.ts';
import type { StatusClient } from './status-client.ts';
import { StatusError, toStatusError } from './status-error.ts';

/** The API replaces an access token that has less than five minutes left. */
const CHECK_BEFORE_EXPIRY_MILLISECONDS = 2 * 60 * 1_000;

/** With a wrong clock, a token has already expired or lives for years. */
const SHORTEST_PAUSE_MILLISECONDS = 60 * 1_000;
const LONGEST_PAUSE_MILLISECONDS = 24 * 60 * 60 * 1_000;

const FIRST_BACKOFF_MILLISECONDS = 5_000;
const LONGEST_BACKOFF_MILLISECONDS = 5 * 60 * 1_000;

/** The user looks at the page again, the network is back, or another tab has stored something. */
const PAGE_EVENTS = ['focus', 'visibilitychange', 'pageshow', 'online', 'storage'];

/** The id of the signed-in user; null or undefined if no user is signed in, or if that is not known yet. */
export type UserId = string | null | undefined;

export interface ConnectionStoreOptions {
  readonly client: StatusClient;

  /** Opens the storage that outlives the page. @default - the browser's `localStorage` */
  readonly openStorage?: OpenStorage;

  /** @default - the browser's */
  readonly clock?: Clock;
}

/** The state of the user's connection on this page. Any number of listeners share one request. */
export interface ConnectionStore {
  /** Starts as the last known state of that user; `checking` for anyone but the user of the page. */
  current(userId: UserId): ConnectionView;

  /**
   * Calls back on every change of the view, until the returned function is called.
   *
   * The first listener makes its user the user of the page, and starts a check at once. Further checks follow when the
   * user looks at the page again, when the page comes online, when another tab has news, shortly before the
   * access token expires, and after a failure.
   */
  subscribe(userId: UserId, listener: () => void): () => void;

  /** Checks now, and replaces a pending request. Resolves when the check has ended; never rejects. */
  recheck(): Promise<void>;

  /** Forgets everything, in all tabs and in storage. Call it when the user signs out. */
  forget(): void;
}

const stores = new WeakMap<StatusClient, ConnectionStore>();

/** The one store for all parts of the page that use this client. */
export function getConnectionStore(client: StatusClient): ConnectionStore {
  const store = stores.get(client) ?? createConnectionStore({ client });
  stores.set(client, store);
  return store;
}

/** A separate store, for tests; pages use `getConnectionStore`. */
export function createConnectionStore({
  client,
  openStorage = () => localStorage,
  clock = browserClock,
}: ConnectionStoreOptions): ConnectionStore {
  const listeners = new Set<() => void>();
  let user: UserId = null;
  let view: ConnectionView = CHECKING;
  let pageEvents: AbortController | null = null;
  let request: AbortController | null = null;
  let cancelNextCheck = () => {};
  let failures = 0;
  let notBefore = 0;

  return {
    current(userId) {
      if (listeners.size === 0) {
        turnTo(userId);
      }
      return userId === user ? view : CHECKING;
    },

    subscribe(userId, listener) {
      if (!userId) {
        return () => {};
      }
      const isFirst = pageEvents === null || userId !== user;
      turnTo(userId);
      listeners.add(listener);
      if (isFirst) {
        begin();
      }
      return () => {
        listeners.delete(listener);
        // Not at once: a component that replaces this one subscribes a moment later, and takes over the state.
        queueMicrotask(endIfUnheard);
      };
    },

    recheck: check,

    forget() {
      clearLastKnownStatus(openStorage);
      reset();
    },
  };

  function turnTo(userId: UserId): void {
    if (userId !== user) {
      reset();
      user = userId;
      view = lastKnownView(readLastKnownStatus(openStorage));
    }
  }

  function lastKnownView(stored: string | null): ConnectionView {
    const status = user ? parseLastKnownStatus(stored, user, clock.now()) : null;
    return status === null ? CHECKING : toView(status, false, clock.now());
  }

  function begin(): void {
    if (pageEvents === null) {
      pageEvents = new AbortController();
      for (const type of PAGE_EVENTS) {
        window.addEventListener(type, onPageEvent, { signal: pageEvents.signal });
      }
    }
    if (view === CHECKING) {
      // The stored status is another user's, or unusable.
      clearLastKnownStatus(openStorage);
    }
    check();
  }

  function endIfUnheard(): void {
    if (listeners.size === 0) {
      pageEvents?.abort();
      pageEvents = null;
      turnTo(null);
    }
  }

  function onPageEvent(event: Event): void {
    if (event.type === 'storage') {
      onStored(event as StorageEvent);
    } else if (
      request === null &&
      clock.now() >= notBefore &&
      // `pageshow` also fires after a normal load, which has already started a check.
      (event as PageTransitionEvent).persisted !== false
    ) {
      checkIfVisible();
    }
  }

  /** Another tab has an answer, or has deleted it because the user has signed out or changed. */
  function onStored({ key, newValue }: StorageEvent): void {
    if (key !== LAST_KNOWN_STATUS_KEY && key !== null) {
      return;
    }
    const news = lastKnownView(newValue);
    if (news === CHECKING) {
      reset();
    } else if (
      news.state !== view.state ||
      news.connection?.reauthorizeBy !== view.connection?.reauthorizeBy
    ) {
      show(news);
      checkIfVisible();
    }
  }

  function checkIfVisible(): void {
    if (document.visibilityState !== 'hidden') {
      check();
    }
  }

  async function check(): Promise<void> {
    halt();
    if (!user) {
      return;
    }
    const own = new AbortController();
    request = own;
    const outcome = await client.check(user, { signal: own.signal }).catch(toStatusError);
    if (own.signal.aborted) {
      return;
    }
    request = null;
    if (outcome instanceof StatusError || outcome.kind === 'unavailable') {
      settleWithoutAnswer(outcome);
      return;
    }
    failures = 0;
    notBefore = 0;
    writeLastKnownStatus(openStorage, user, outcome);
    show(toView(outcome, true, clock.now()));
    if (outcome.kind === 'connected' && outcome.expiresAt !== null) {
      const untilExpiry = Date.parse(outcome.expiresAt) - clock.now();
      checkAfter(Math.max(SHORTEST_PAUSE_MILLISECONDS, untilExpiry - CHECK_BEFORE_EXPIRY_MILLISECONDS));
    }
  }

  function settleWithoutAnswer(
    outcome: StatusError | Extract<ConnectionStatus, { kind: 'unavailable' }>,
  ): void {
    const code = outcome instanceof StatusError ? outcome.code : outcome.kind;
    if (code === 'forbidden') {
      // The session belongs to another user, who must not see this one's state.
      clearLastKnownStatus(openStorage);
      view = CHECKING;
    }
    show(toViewWithoutAnswer(view, outcome.message));
    if (code === 'unavailable' || code === 'unexpected_answer') {
      const askedFor = outcome.retryAfterSeconds * 1_000;
      notBefore = clock.now() + askedFor;
      checkAfter(
        askedFor +
          computeBackoffMilliseconds(
            failures,
            FIRST_BACKOFF_MILLISECONDS,
            LONGEST_BACKOFF_MILLISECONDS,
            clock,
          ),
      );
      failures += 1;
    }
  }

  function checkAfter(milliseconds: number): void {
    cancelNextCheck = clock.after(Math.min(LONGEST_PAUSE_MILLISECONDS, milliseconds), checkIfVisible);
  }

  function reset(): void {
    halt();
    show(CHECKING);
  }

  function halt(): void {
    request?.abort();
    request = null;
    cancelNextCheck();
  }

  function show(next: ConnectionView): void {
    view = next;
    for (const listener of listeners) {
      listener();
    }
  }
}

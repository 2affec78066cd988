import { browserClock, type Clock } from './clock.ts';
import { CHECKING, type ConnectionView } from './connection-view.ts';
import { type ConnectionWatch, watchConnection } from './connection-watch.ts';
import { browserStorage, clearLastKnownState, type KeyValueStorage } from './last-known-state.ts';
import type { StatusClient } from './status-client.ts';

export interface ConnectionStoreOptions {
  readonly client: StatusClient;

  /** Keeps the last known state. @default - the browser's `localStorage` */
  readonly storage?: KeyValueStorage;

  /** @default - the browser's */
  readonly clock?: Clock;
}

/** The id of the signed-in user; null or undefined while nobody is, or as long as that is not known. */
export type UserId = string | null | undefined;

/** What a page knows of its user's connection; any number of listeners share one request. */
export interface ConnectionStore {
  /** At first the last known state of this user. */
  current(userId: UserId): ConnectionView;

  /**
   * Calls back whenever the view has changed, until the function returned is called. The first listener starts a check
   * at once. More follow when the page gets attention or comes online, when another tab has news, shortly before the
   * token runs out, and after a failure. A listener for another user ends all that for the one before.
   */
  subscribe(userId: UserId, listener: () => void): () => void;

  /** Asks anew, in place of a request under way. Resolves when that has ended; never rejects. */
  recheck(userId: UserId): Promise<void>;

  /** To be called when the user signs out: forgets everything, what is stored included, in every tab. */
  forget(): void;
}

export function createConnectionStore({
  client,
  storage = browserStorage,
  clock = browserClock,
}: ConnectionStoreOptions): ConnectionStore {
  const watches = new Map<string, ConnectionWatch>();

  function watchOf(userId: string): ConnectionWatch {
    const watch =
      watches.get(userId) ??
      watchConnection(userId, { client, storage, clock }, () => watches.delete(userId));
    watches.set(userId, watch);
    return watch;
  }

  return {
    current: (userId) => (userId ? watchOf(userId).current() : CHECKING),
    subscribe(userId, listener) {
      if (!userId) {
        return () => {};
      }
      for (const [otherId, other] of watches) {
        if (otherId !== userId) other.reset();
      }
      return watchOf(userId).subscribe(listener);
    },
    async recheck(userId) {
      if (userId) await watchOf(userId).recheck();
    },
    forget() {
      clearLastKnownState(storage);
      for (const watch of watches.values()) watch.reset();
    },
  };
}

const stores = new WeakMap<StatusClient, ConnectionStore>();

/** The store that everything on the page shares which uses this client. */
export function connectionStoreOf(client: StatusClient): ConnectionStore {
  const store = stores.get(client) ?? createConnectionStore({ client });
  stores.set(client, store);
  return store;
}

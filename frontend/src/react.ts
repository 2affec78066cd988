'use client';

import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { getConnectionStore, type UserId } from './connection-store.ts';
import { CHECKING, type ConnectionView } from './connection-view.ts';
import { type LandingOptions, readLanding } from './landing.ts';
import type { StatusClient } from './status-client.ts';

export interface SpotifyConnectionOptions {
  /** Created once, outside of components: what shares a client shares its requests. */
  readonly client: StatusClient;

  /** When it goes from a user to none, that user has signed out and everything known is forgotten. */
  readonly userId: UserId;
}

export type SpotifyConnection = ConnectionView & {
  /** Asks now. Resolves when the state says what came of it; never rejects. */
  readonly recheck: () => Promise<void>;
};

/** React 18 warns on a server about layout effects, which it does not run there anyway. */
const useEffectBeforePaint = typeof window === 'undefined' ? useEffect : useLayoutEffect;

/**
 * The state of the user's Spotify connection: first the last known one, then what the API says, for as long as the
 * component is there. On a server, and while its markup is taken over, it is `checking`.
 */
export function useSpotifyConnection({ client, userId }: SpotifyConnectionOptions): SpotifyConnection {
  const store = getConnectionStore(client);
  const subscribe = useCallback((listener: () => void) => store.subscribe(userId, listener), [store, userId]);
  const view = useSyncExternalStore(
    subscribe,
    () => store.current(userId),
    () => CHECKING,
  );

  const [, setHydrated] = useState(false);
  const previousUserId = useRef(userId);
  useEffectBeforePaint(() => {
    // React itself subscribes, and shows what it could not while hydrating, only once the browser has painted.
    const unsubscribe = subscribe(() => {});
    setHydrated(true);
    if (previousUserId.current && !userId) {
      store.forget();
    }
    previousUserId.current = userId;
    return unsubscribe;
  }, [store, subscribe, userId]);

  return { ...view, recheck: store.recheck };
}

/**
 * Reports how the OAuth flow ended that led to this page, once; see `readLanding`. The callbacks of the first render
 * count.
 */
export function useSpotifyLanding(callbacks: LandingOptions): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: there is one landing per page
  useEffect(() => {
    // After the effects of all parents: Next's router follows changes of the address only from its own effect on.
    const timer = setTimeout(() => readLanding(callbacks));
    return () => clearTimeout(timer);
  }, []);
}

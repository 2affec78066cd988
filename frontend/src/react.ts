'use client';

import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { getConnectionStore, type UserId } from './connection-store.ts';
import { CHECKING, type ConnectionView } from './connection-view.ts';
import { type LandingOptions, readLanding } from './landing.ts';
import type { StatusClient } from './status-client.ts';

export interface SpotifyConnectionOptions {
  /** Create it once, outside of components: all users of a client share its requests. */
  readonly client: StatusClient;

  /** When this changes from a user to none, the user has signed out, and everything known is forgotten. */
  readonly userId: UserId;
}

export type SpotifyConnection = ConnectionView & {
  /** Checks now. Resolves when the state shows the result; never rejects. */
  readonly recheck: () => Promise<void>;
};

/** On a server, React 18 warns about layout effects, which it does not run there anyway. */
const useEffectBeforePaint = typeof window === 'undefined' ? useEffect : useLayoutEffect;

/**
 * The state of the user's Spotify connection: first the last known one, then the API's answer, for as long as the
 * component is mounted. On a server, and during hydration, it is `checking`.
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
    // React itself only subscribes, and shows what it could not show while hydrating, after the browser has painted.
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
 * Reports once how the OAuth flow that led to this page ended; see `readLanding`. It uses the callbacks of the first
 * render.
 */
export function useSpotifyLanding(callbacks: LandingOptions): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: there is one landing per page
  useEffect(() => {
    // After the effects of all parents: Next's router only follows changes of the address after its own effect.
    const timer = setTimeout(() => readLanding(callbacks));
    return () => clearTimeout(timer);
  }, []);
}

const PARAMETERS = ['spotify_connected', 'spotify_error'];

export interface LandingOptions {
  /** The user comes back from Spotify's consent page with a new connection. A hint: what holds is the API's answer. */
  readonly onConnected?: () => void;

  /** The user comes back without one. The code is whatever the address says: show it as text, never as markup. */
  readonly onError?: (code: string) => void;

  /** @default - the page's */
  readonly location?: Pick<Location, 'pathname' | 'search' | 'hash'>;

  /** @default - the page's */
  readonly history?: Pick<History, 'state' | 'replaceState'>;
}

/**
 * Reports how the OAuth flow ended that led to this page (`?spotify_connected=true` or `?spotify_error=<code>`), and
 * removes that from the address bar, so that a reload or a link does not report it again. Everything else in the
 * address stays as it is written.
 */
export function readLanding({
  onConnected,
  onError,
  location = globalThis.location,
  history = globalThis.history,
}: LandingOptions): void {
  const { pathname, search, hash } = location;
  const query = new URLSearchParams(search);
  if (!PARAMETERS.some((name) => query.has(name))) {
    return;
  }
  const rest = search
    .slice(1)
    .split('&')
    .filter((pair) => !PARAMETERS.some((name) => new URLSearchParams(pair).has(name)))
    .join('&');
  history.replaceState(history.state, '', pathname + (rest && `?${rest}`) + hash);

  const error = query.get('spotify_error');
  if (error !== null) {
    onError?.(error);
  } else if (query.get('spotify_connected') === 'true') {
    onConnected?.();
  }
}

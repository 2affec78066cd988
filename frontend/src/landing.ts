/** One `name=value` of a query that is ours. */
const PARAMETER = /^spotify_(connected|error)(=|$)/;

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
 * Reports how the OAuth flow ended that led to this page (`?spotify_connected=true` or `?spotify_error=<code>`) and
 * removes that from the address bar, so that neither a reload nor a copied link reports it again. The rest of the
 * address stays as it was written.
 */
export function readLanding({
  onConnected,
  onError,
  location = window.location,
  history = window.history,
}: LandingOptions): void {
  const { pathname, search, hash } = location;
  const parameters = search.slice(1).split('&');
  const others = parameters.filter((parameter) => !PARAMETER.test(parameter));
  if (others.length === parameters.length) {
    return;
  }
  const query = others.length === 0 ? '' : `?${others.join('&')}`;
  // Next's router takes a state with its mark for a change of its own: it would not learn of the new address, and bring
  // the old one back. It sets the mark again by itself.
  const state = history.state?.__NA ? { ...history.state, __NA: undefined } : history.state;
  history.replaceState(state, '', pathname + query + hash);

  const landing = new URLSearchParams(search);
  const error = landing.get('spotify_error');
  if (error !== null) {
    onError?.(error);
  } else if (landing.get('spotify_connected') === 'true') {
    onConnected?.();
  }
}

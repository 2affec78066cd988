/** One `name=value` of our query parameters. */
const PARAMETER = /^spotify_(connected|error)(=|$)/;

export interface LandingOptions {
  /** The user has returned from Spotify's consent page with a new connection. Only a hint: the API's answer decides. */
  readonly onConnected?: () => void;

  /** The user has returned without a connection. The code comes from the address: show it as text, never as markup. */
  readonly onError?: (code: string) => void;

  /** @default - the page's */
  readonly location?: Pick<Location, 'pathname' | 'search' | 'hash'>;

  /** @default - the page's */
  readonly history?: Pick<History, 'state' | 'replaceState'>;
}

/**
 * Reports how the OAuth flow that led to this page ended (`?spotify_connected=true` or `?spotify_error=<code>`), and
 * removes that from the address bar, so that neither a reload nor a copied link reports it again. The rest of the
 * address stays unchanged.
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
  // Next's router takes a state with its mark for its own change: it would not notice the new address, and would bring
  // the old one back. It adds the mark again by itself.
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

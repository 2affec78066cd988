import { randomBytes } from 'node:crypto';
import { html } from 'hono/html';
import type { Answer } from './answer.ts';

const CODE_LIFE_MILLISECONDS = 600_000;

/** The signed-in account at Spotify. */
interface Account {
  /** Bondhu's id of the user. */
  readonly userId: string;
  readonly spotifyUserEmail?: string;
}

interface AuthorizationRequest {
  readonly account: Account;
  readonly redirectUri: string;
  readonly state: string;
}

/**
 * The consent page, and the codes that it issues.
 *
 * Two parameters replace the session that a browser has at the real Spotify: `user_id`, Bondhu's id of the user,
 * and `login_hint`, the account's e-mail address.
 *
 * @see https://datatracker.ietf.org/doc/html/rfc6749#section-4.1
 */
export class AuthorizationEndpoint {
  readonly #clientId: string;
  readonly #redirectUris = new Set<string>();
  readonly #codes = new Map<string, AuthorizationRequest & { readonly expiresAtMillis: number }>();

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  registerRedirectUri(uri: string): void {
    this.#redirectUris.add(uri);
  }

  /** Shows the consent page. It refuses a request without a registered address itself, because it has nowhere to send the error. */
  ask(parameters: URLSearchParams): Answer {
    const request = this.#read(parameters);
    return typeof request === 'string' ? refusal(request) : consentPage(request.account);
  }

  /** Sends the user back with a code, or with `access_denied`. */
  decide(parameters: URLSearchParams, form: URLSearchParams): Answer {
    const request = this.#read(parameters);
    if (typeof request === 'string') return refusal(request);
    const location = new URL(request.redirectUri);
    if (form.get('decision') === 'allow') location.searchParams.set('code', this.#issueCode(request));
    else location.searchParams.set('error', 'access_denied');
    location.searchParams.set('state', request.state);
    return { status: 303, headers: { location: location.href } };
  }

  /** Redeems a code, which works once. @returns undefined if it is unknown, used, too old or for another address */
  redeem(code: string, redirectUri: string): Account | undefined {
    const issued = this.#codes.get(code);
    this.#codes.delete(code);
    if (!issued || issued.redirectUri !== redirectUri || issued.expiresAtMillis < Date.now())
      return undefined;
    return issued.account;
  }

  #issueCode(request: AuthorizationRequest): string {
    const code = randomBytes(24).toString('base64url');
    this.#codes.set(code, { ...request, expiresAtMillis: Date.now() + CODE_LIFE_MILLISECONDS });
    return code;
  }

  /** @returns the problem with the request, if there is one */
  #read(parameters: URLSearchParams): AuthorizationRequest | string {
    const redirectUri = parameters.get('redirect_uri') ?? '';
    const userId = parameters.get('user_id');
    const email = parameters.get('login_hint');
    if (parameters.get('client_id') !== this.#clientId) return 'INVALID_CLIENT: Invalid client';
    if (!this.#redirectUris.has(redirectUri)) return 'INVALID_CLIENT: Invalid redirect URI';
    if (parameters.get('response_type') !== 'code') return 'response_type must be code';
    if (!userId) return 'user_id must be supplied: this is a stand-in, where nobody can sign in';
    return {
      account: { userId, ...(email && { spotifyUserEmail: email }) },
      redirectUri,
      state: parameters.get('state') ?? '',
    };
  }
}

function refusal(message: string): Answer {
  return { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: message };
}

function consentPage({ userId, spotifyUserEmail = userId }: Account): Answer {
  const page = html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Allow Bondhu? – Spotify (stand-in)</title>
    <style>
      body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f2f2f0, #121212);
        color: light-dark(#191919, #f5f5f5); font: 16px/1.5 system-ui, sans-serif; }
      main { box-sizing: border-box; width: min(26rem, 100vw - 2rem); padding: 2rem; border-radius: 1rem;
        background: light-dark(#fff, #1d1d1d); }
      h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.25; }
      p { margin: 0 0 1rem; } ul { margin: 0 0 1.5rem; padding-left: 1.2rem; }
      .note { color: light-dark(#5c5c5c, #b0b0b0); font-size: .875rem; }
      button { width: 100%; padding: .75rem; border: 2px solid transparent; border-radius: 2rem; font: inherit; font-weight: 600; cursor: pointer; }
      button[value='allow'] { background: #1ed760; color: #000; margin-bottom: .5rem; }
      button[value='deny'] { background: none; color: inherit; border-color: light-dark(#8a8a8a, #7a7a7a); }
      button:focus-visible { outline: 3px solid light-dark(#111, #fff); outline-offset: 2px; }
    </style>
  </head>
  <body>
    <main>
      <p class="note">A stand-in for Spotify. Signed in as ${spotifyUserEmail}.</p>
      <h1>Bondhu would like to use your Spotify account</h1>
      <ul>
        <li>see your name and e-mail address</li>
        <li>see what you play, and what you play most</li>
      </ul>
      <form method="post">
        <button name="decision" value="allow">Agree</button>
        <button name="decision" value="deny">Cancel</button>
      </form>
    </main>
  </body>
</html>`;
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: String(page) };
}

import type { DatabaseCondition, SpotifyCondition } from '../live-view-events.ts';

/** The server's endpoints for the signed-in user: Bondhu's part in OAuth, and the panel. */
export class DemoClient {
  readonly #getAccessToken: () => Promise<string | null>;

  constructor(getAccessToken: () => Promise<string | null>) {
    this.#getAccessToken = getAccessToken;
  }

  /** Leaves the page for Spotify's consent page. */
  async connect(): Promise<void> {
    const { authorization_url } = await this.#send('POST', '/api/v1/agents/music/connect');
    location.assign(authorization_url);
  }

  async disconnect(): Promise<void> {
    await this.#send('POST', '/api/v1/agents/music/disconnect');
  }

  async act(action: 'expire-token' | 'revoke-grant' | 'six-months' | 'sweep'): Promise<void> {
    await this.#send('POST', `/panel/${action}`);
  }

  async tryToken(): Promise<'accepted' | 'refused' | 'no-token'> {
    return (await this.#send('POST', '/panel/try-token')).kind;
  }

  async setSpotify(condition: SpotifyCondition): Promise<void> {
    await this.#send('PUT', '/panel/spotify', { condition });
  }

  async setDatabase(condition: DatabaseCondition): Promise<void> {
    await this.#send('PUT', '/panel/database', { condition });
  }

  /** @throws Error with a text for the user */
  // biome-ignore lint/suspicious/noExplicitAny: the answers of this page's own server
  async #send(method: string, path: string, body?: unknown): Promise<any> {
    const response = await fetch(path, {
      method,
      headers: {
        authorization: `Bearer ${await this.#getAccessToken()}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = text ? JSON.parse(text) : undefined;
    if (!response.ok) throw new Error(answer?.detail ?? `The server answered ${response.status}.`);
    return answer;
  }
}

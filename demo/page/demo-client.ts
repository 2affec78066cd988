import type { DatabaseCondition, SpotifyCondition, UserAction } from '../live-view-events.ts';
import { DemoError } from './failures.ts';

/** The server's endpoints: Bondhu's part in OAuth, and the panel. All reject with a DemoError. */
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

  /** Does something to the signed-in user's connection. */
  async act(action: UserAction): Promise<void> {
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

  async sweep(): Promise<void> {
    await this.#send('POST', '/panel/sweep');
  }

  // biome-ignore lint/suspicious/noExplicitAny: the answers of this page's own server
  async #send(method: string, path: string, body?: unknown): Promise<any> {
    const accessToken = await this.#getAccessToken();
    const response = await fetch(path, {
      method,
      headers: {
        ...(accessToken !== null && { authorization: `Bearer ${accessToken}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).catch(() => {
      throw new DemoError('unreachable');
    });
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new DemoError(String(answer?.code));
    return answer;
  }
}

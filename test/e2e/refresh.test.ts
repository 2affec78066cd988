import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { naiveUtc } from '../../stand-ins/bondhu/backend.ts';
import { TestStack } from './test-stack.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
});

afterEach(() => {
  stack.stack.spotify.configure({ latencyMillis: 0 });
  stack.stack.spotify.configure({ rotatesRefreshTokens: false });
});

afterAll(async () => {
  await stack.stop();
});

describe('two simultaneous status calls, while Spotify takes 2 s', () => {
  test('lead to one call to Spotify and two fresh answers', async () => {
    const user = await stack.createConnectedUser(120);
    stack.stack.spotify.configure({ latencyMillis: 2_000 });

    const answers = await Promise.all([stack.status(user.id), stack.status(user.id)]);

    expect(stack.spotifyCallsFor(user.id)).toHaveLength(1);
    for (const { body } of answers) {
      expect(body.connected).toBe(true);
      expect(body.degraded).toBeUndefined();
      expect(Date.parse(body.expires_at)).toBeGreaterThan(Date.now() + 3_500_000);
    }
    expect(answers.map(({ body }) => body.auto_refreshed).sort()).toEqual([false, true]);
  });
});

describe('with rotation on', () => {
  test('the new refresh token is stored, and works the next time', async () => {
    stack.stack.spotify.configure({ rotatesRefreshTokens: true });
    const user = await stack.createConnectedUser(-60);

    await stack.status(user.id);
    const rotated = (await stack.profile(user.id)).spotify_refresh_token;
    await stack.stack.bondhu.store(user.id, {
      spotify_token_expires_at: naiveUtc(new Date(Date.now() - 1_000)),
    });
    await stack.sql(
      'update spotify_auth.connections set claimable_at = null, refreshed_at = null where user_id = $1',
      [user.id],
    );
    const answer = await stack.status(user.id);

    expect(rotated).not.toBe(user.refreshToken);
    expect(answer.body).toMatchObject({ connected: true, auto_refreshed: true });
  });

  test('without a new one in the answer, the stored one stays', async () => {
    const user = await stack.createConnectedUser(-60);

    await stack.status(user.id);

    expect((await stack.profile(user.id)).spotify_refresh_token).toBe(user.refreshToken);
  });
});

describe('when the connection changes while Spotify is being asked', () => {
  /** Starts a status call and resolves once Spotify has received its request. */
  async function startSlowStatus(userId: string) {
    stack.stack.spotify.configure({ latencyMillis: 1_000 });
    const received = stack.stack.spotify.nextTokenRequest();
    const answer = stack.status(userId);
    await received;
    return { answer };
  }

  test("Bondhu's own refresh is not overwritten, and is what the answer shows", async () => {
    const user = await stack.createConnectedUser(120);
    const { answer } = await startSlowStatus(user.id);
    const expiry = new Date(Date.now() + 3_000_000);

    await stack.stack.bondhu.store(user.id, {
      spotify_access_token: 'refreshed-by-bondhu',
      spotify_token_expires_at: naiveUtc(expiry),
    });

    expect((await answer).body).toMatchObject({
      connected: true,
      auto_refreshed: false,
      expires_at: expiry.toISOString(),
    });
    expect((await stack.profile(user.id)).spotify_access_token).toBe('refreshed-by-bondhu');
  });

  test('a reconnection with the same refresh token stays as it was written', async () => {
    const user = await stack.createConnectedUser(120);
    const { answer } = await startSlowStatus(user.id);

    await stack.stack.bondhu.store(user.id, {
      spotify_access_token: 'reconnected',
      spotify_token_expires_at: naiveUtc(new Date(Date.now() + 3_000_000)),
      spotify_connected_at: naiveUtc(new Date()),
    });

    expect((await answer).body).toMatchObject({ connected: true, auto_refreshed: false });
    expect(await stack.profile(user.id)).toMatchObject({
      spotify_access_token: 'reconnected',
      spotify_refresh_token: user.refreshToken,
    });
  });

  test('a disconnection stays a disconnection', async () => {
    const user = await stack.createConnectedUser(120);
    const { answer } = await startSlowStatus(user.id);

    await stack.stack.bondhu.disconnect(user.id);

    expect((await answer).body).toEqual({ connected: false });
    expect(await stack.profile(user.id)).toMatchObject({
      spotify_access_token: null,
      spotify_refresh_token: null,
    });
  });

  test('a deleted account stays deleted, with its row in the queue', async () => {
    const user = await stack.createConnectedUser(120);
    const { answer } = await startSlowStatus(user.id);

    await stack.sql('delete from auth.users where id = $1', [user.id]);

    expect((await answer).body).toEqual({ connected: false });
    expect(await stack.profile(user.id)).toBeUndefined();
    expect(await stack.sql('select from spotify_auth.connections where user_id = $1', [user.id])).toEqual([]);
  });
});

describe('a user whose grant was revoked', () => {
  test('is connected again at once after reconnecting', async () => {
    const user = await stack.createConnectedUser(-60);
    stack.stack.spotify.revokeGrants(user.id);
    expect((await stack.status(user.id)).body).toMatchObject({ connected: false, retryable: false });

    await stack.reconnect(user.id, user.email, 3_600);

    expect((await stack.status(user.id)).body).toMatchObject({ connected: true, auto_refreshed: false });
  });
});

describe('a user whose grant is older than six months', () => {
  test('is told to reconnect', async () => {
    const user = await stack.createConnectedUser(-60);
    stack.stack.spotify.configure({ clockOffsetSeconds: 7 * 31 * 24 * 60 * 60 });

    expect((await stack.status(user.id)).body).toMatchObject({ connected: false, retryable: false });
    stack.stack.spotify.configure({ clockOffsetSeconds: 0 });
  });
});

describe('the warm path', () => {
  test('costs one request to the database and nothing else, counted at the other ends', async () => {
    const user = await stack.createConnectedUser(3_000);
    await stack.status(user.id);
    const { supabase, cloud, spotify } = stack.stack;
    const before = {
      supabase: supabase.requests.length,
      secrets: cloud.secretsManager.callCount,
      spotify: spotify.calls.length,
    };

    await stack.status(user.id);

    expect(supabase.requests.slice(before.supabase)).toEqual([
      { method: 'POST', path: '/rest/v1/rpc/spotify_check_connection' },
    ]);
    expect(cloud.secretsManager.callCount).toBe(before.secrets);
    expect(spotify.calls).toHaveLength(before.spotify);
  });
});

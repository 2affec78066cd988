import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findLeaks } from './canaries.ts';
import { type Answer, TestStack } from './test-stack.ts';

let stack: TestStack;

beforeAll(async () => {
  // Too little for a sweep to wait for connections that back off.
  stack = await TestStack.start({ sweeperTimeoutSeconds: 40 });
});

afterAll(async () => {
  await stack.stop();
});

describe('the scanner', () => {
  const canary = { secret: `canary/${randomBytes(12).toString('hex')}+=&` };

  test.each([
    ['as it is', (value: string) => `{"message":"${value}"}`],
    ['URL-encoded', (value: string) => `refresh_token=${encodeURIComponent(value)}&x=1`],
    ['base64-encoded', (value: string) => Buffer.from(value).toString('base64')],
    [
      'base64-encoded inside of something',
      (value: string) => Buffer.from(`id:${value}:x`).toString('base64'),
    ],
    [
      'base64url-encoded inside of something',
      (value: string) => Buffer.from(`a${value}`).toString('base64url'),
    ],
  ])('finds a planted secret %s', (_name, plant) => {
    expect(findLeaks(canary, ['innocent', plant(canary.secret)])).toHaveLength(1);
  });

  test('finds nothing where nothing is', () => {
    expect(findLeaks(canary, ['innocent', '{"user_id":"1"}'])).toEqual([]);
  });
});

describe('tokens, secrets, e-mail, Spotify id and user JWT, sent through every path, failures included', () => {
  test('are in no log line, no error and no answer to another user', async () => {
    const { supabase, spotify, spotifyClient, cloud } = stack.stack;
    const email = `canary-${randomBytes(8).toString('hex')}@example.com`;
    const user = await stack.createConnectedUser(-60, email);
    const jwt = await stack.userToken(user.id);
    const stranger = await stack.createConnectedUser(3_000);
    const strangerAuthorization = `Bearer ${await stack.userToken(stranger.id)}`;
    const canaries: Record<string, string> = {
      accessToken: user.accessToken,
      refreshToken: user.refreshToken,
      spotifyUserId: user.spotifyUserId,
      email,
      jwt,
      jwtSignature: jwt.split('.')[2] ?? '',
      spotifyClientSecret: spotifyClient.client_secret,
      supabaseSecretKey: supabase.secretKey,
      jwtSecret: supabase.jwtSecret,
    };
    const foreignAnswers: Answer[] = [];
    const errors: string[] = [];
    const exerciseEveryPath = async () => {
      await stack.status(user.id, { authorization: `Bearer ${jwt}` });
      await stack.status(user.id, { authorization: `Bearer ${jwt}x` });
      await stack.status(`${user.id}x`, { authorization: `Bearer ${jwt}` });
      foreignAnswers.push(await stack.status(user.id, { authorization: strangerAuthorization }));
      for (const event of [
        { command: 'sweep' },
        { command: 'refresh', userId: user.id },
        { token: user.refreshToken },
      ]) {
        const { result } = await stack.sweep(event);
        errors.push(JSON.stringify(result));
      }
      // Due again, and free, for the next round.
      await stack.letHoursPass(2);
    };

    spotify.configure({ rotatesRefreshTokens: true });
    await exerciseEveryPath();
    for (const fault of [
      { kind: 'status', status: 503 },
      { kind: 'status', status: 429, retryAfter: '1' },
      { kind: 'reset-before' },
    ] as const) {
      spotify.setFault(fault);
      await exerciseEveryPath();
    }
    spotify.setFault(undefined);
    // Supabase is lost between Spotify's answer and the write: the new tokens go to the rescue queue.
    spotify.configure({ latencyMillis: 300 });
    const asked = spotify.nextTokenRequest();
    const rescued = stack.status(user.id, { authorization: `Bearer ${jwt}` });
    await asked;
    await supabase.setFault({ kind: 'reset' });
    await rescued;
    await supabase.setFault(undefined);
    spotify.configure({ latencyMillis: 0 });
    const messages = cloud.queues.all.flatMap((queue) => queue.messages.map(({ body }) => body));
    canaries['refreshTokenBeforeRescue'] = await storedRefreshToken(user.id);
    await stack.sweep();
    canaries['rescuedRefreshToken'] = await storedRefreshToken(user.id);
    for (const fault of [{ kind: 'reset' }, { kind: 'status', status: 500 }] as const) {
      await supabase.setFault(fault);
      await stack.status(user.id, { authorization: `Bearer ${jwt}` });
      errors.push(JSON.stringify((await stack.sweep()).result));
      await supabase.setFault(undefined);
    }
    spotify.revokeGrants(user.id);
    await exerciseEveryPath();
    cloud.secretsManager.putSecretValue(
      cloud.template.outputs['SpotifySecretArn'] ?? '',
      JSON.stringify({ ...spotifyClient, client_id: 'unknown-to-spotify' }),
    );
    await cloud.lambda.stopIdleEnvironments();
    await exerciseEveryPath();
    for (const value of [
      'not JSON, and secret',
      JSON.stringify({ secret_key: 7, jwt_secret: supabase.jwtSecret }),
      JSON.stringify({ secret_key: 'sb_secret_wrong', jwt_secret: supabase.jwtSecret }),
    ]) {
      cloud.secretsManager.putSecretValue(cloud.template.outputs['SupabaseSecretArn'] ?? '', value);
      await cloud.lambda.stopIdleEnvironments();
      await exerciseEveryPath();
    }

    const texts = [...stack.logLines, ...errors, ...messages, ...foreignAnswers.map((answer) => answer.text)];
    expect(messages).toMatchObject([expect.stringContaining(user.id)]);
    expect(canaries['rescuedRefreshToken']).not.toBe(canaries['refreshTokenBeforeRescue']);
    expect(stack.logLines.length).toBeGreaterThan(30);
    expect(texts.some((text) => text.includes(user.id))).toBe(true);
    expect(findLeaks(canaries, texts)).toEqual([]);
    const metrics = stack.logLines.filter((line) => line.includes('"CloudWatchMetrics"'));
    for (const name of [
      'SweepRefreshed',
      'RescueQueued',
      'RescueStored',
      'ClientRejected',
      'SupabaseKeyRejected',
    ]) {
      expect(metrics.filter((line) => line.includes(`"${name}":`))).not.toEqual([]);
    }
    expect(metrics.filter((line) => line.includes(user.id))).toEqual([]);
  });
});

async function storedRefreshToken(userId: string): Promise<string> {
  return (await stack.profile(userId)).spotify_refresh_token ?? '';
}

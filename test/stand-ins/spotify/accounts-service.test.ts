import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AccountsService, startAccountsService } from '../../../stand-ins/spotify/accounts-service.ts';
import type { Fault } from '../../../stand-ins/spotify/faults.ts';
import type { GrantedTokens } from '../../../stand-ins/spotify/grants.ts';

const credentials = { clientId: 'client', clientSecret: 'se:cret' };

let spotify: AccountsService;

beforeEach(async () => {
  spotify = await startAccountsService(credentials);
});

afterEach(() => spotify.stop());

interface Client {
  readonly clientId: string;
  readonly clientSecret: string;
}

async function refresh(
  refreshToken: string,
  { clientId, clientSecret }: Client = credentials,
  init: RequestInit = {},
) {
  const response = await fetch(spotify.tokenUrl, {
    ...init,
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text.startsWith('{') && JSON.parse(text),
  };
}

/** Options of a client that gives up. */
function impatient(): RequestInit {
  return { signal: AbortSignal.timeout(1_000) };
}

function invalidGrant(description: string) {
  return { status: 400, body: { error: 'invalid_grant', error_description: description } };
}

describe('refreshing', () => {
  test('answers like Spotify, with an access token that is accepted', async () => {
    const { refreshToken, accessToken } = spotify.createGrant({
      userId: 'alice',
      spotifyUserId: 'alice-at-spotify',
    });

    const { status, body } = await refresh(refreshToken);

    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      scope: expect.any(String),
      expires_in: 3600,
    });
    expect(body.access_token).not.toBe(accessToken);
    const profile = await fetch(`${spotify.url}/v1/me`, {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    expect(await profile.json()).toEqual({ id: 'alice-at-spotify' });
  });

  test('without rotation the refresh token stays, with rotation the old one is dead', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    expect((await refresh(refreshToken)).status).toBe(200);

    spotify.configure({ rotatesRefreshTokens: true });
    const rotated = (await refresh(refreshToken)).body.refresh_token;

    expect(await refresh(refreshToken)).toMatchObject(invalidGrant('Invalid refresh token'));
    expect((await refresh(rotated)).status).toBe(200);
  });

  test('with reuse detection an old refresh token kills the grant', async () => {
    spotify.configure({ rotatesRefreshTokens: true, detectsReuse: true });
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    const rotated = (await refresh(refreshToken)).body.refresh_token;

    await refresh(refreshToken);

    expect(await refresh(rotated)).toMatchObject(invalidGrant('Refresh token revoked'));
  });

  test.each([
    ['an unknown client', { ...credentials, clientId: 'other' }, 'Invalid client'],
    ['a wrong secret', { ...credentials, clientSecret: 'other' }, 'Invalid client secret'],
  ])('%s is refused, and nothing is exchanged', async (_, client, description) => {
    spotify.configure({ rotatesRefreshTokens: true });
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });

    const refused = await refresh(refreshToken, client);

    expect(refused).toMatchObject({
      status: 400,
      body: { error: 'invalid_client', error_description: description },
    });
    expect((await refresh(refreshToken)).status).toBe(200);
  });
});

describe('the end of a grant', () => {
  test('revoked by its user, and no other user is affected', async () => {
    const alice = spotify.createGrant({ userId: 'alice' });
    const bob = spotify.createGrant({ userId: 'bob' });

    spotify.revokeGrants('alice');

    expect(await refresh(alice.refreshToken)).toMatchObject(invalidGrant('Refresh token revoked'));
    expect((await refresh(bob.refreshToken)).status).toBe(200);
  });

  test('revoked, and told to be that also once the six months are over', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.revokeGrants('alice');
    spotify.configure({ clockOffsetSeconds: 185 * 86_400 });
    expect(await refresh(refreshToken)).toMatchObject(invalidGrant('Refresh token revoked'));
  });

  test('six months after the authorization, however often it was refreshed', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    expect((await refresh(refreshToken)).status).toBe(200);

    spotify.configure({ clockOffsetSeconds: 180 * 86_400 });
    const before = await refresh(refreshToken);
    spotify.configure({ clockOffsetSeconds: 185 * 86_400 });

    expect(before.status).toBe(200);
    expect(await refresh(refreshToken)).toMatchObject(invalidGrant('Refresh token expired'));
  });

  test('a token that was never issued', async () => {
    const { grantId } = spotify.createGrant({ userId: 'alice' });
    expect(await refresh(`AQ${grantId}-0.invented`)).toMatchObject(invalidGrant('Invalid refresh token'));
  });
});

test('access tokens end after an hour, or at once when told so', () => {
  const { accessToken: first } = spotify.createGrant({ userId: 'alice' });
  spotify.expireAccessTokens();
  const { accessToken: second, refreshToken } = spotify.createGrant({ userId: 'bob' });

  expect([first, second, refreshToken].map(spotify.acceptsAccessToken)).toEqual([false, true, false]);
  spotify.configure({ clockOffsetSeconds: 3599 });
  expect(spotify.acceptsAccessToken(second)).toBe(true);
  spotify.configure({ clockOffsetSeconds: 3601 });
  expect(spotify.acceptsAccessToken(second)).toBe(false);
});

test('the user of a request is known before the answer', async () => {
  const { refreshToken } = spotify.createGrant({ userId: 'alice' });
  spotify.setFault({ kind: 'hang' });
  const asked = spotify.nextTokenRequest();

  const answer = refresh(refreshToken, credentials, impatient()).catch(() => 'none');

  expect(await asked).toBe('alice');
  spotify.setFault(undefined);
  expect(await answer).toBe('none');
});

test('a request is under way until it is among the calls', async () => {
  const { refreshToken } = spotify.createGrant({ userId: 'alice' });
  spotify.configure({ latencyMillis: 50 });
  const asked = spotify.nextTokenRequest();

  const answer = refresh(refreshToken);

  await asked;
  expect(spotify).toMatchObject({ underWay: 1, calls: [] });
  await answer;
  expect(spotify).toMatchObject({ underWay: 0, calls: [{ outcome: 'refreshed' }] });
});

test('time can pass for the grants and the tokens of one user alone', async () => {
  const mine = spotify.createGrant({ userId: 'alice' });
  const other = spotify.createGrant({ userId: 'bob' });

  spotify.letTimePass('alice', 3_601);
  expect([mine, other].map((tokens) => spotify.acceptsAccessToken(tokens.accessToken))).toEqual([
    false,
    true,
  ]);
  const refreshed = (await refresh(mine.refreshToken)).body;
  expect(spotify.acceptsAccessToken(refreshed.access_token)).toBe(true);

  spotify.letTimePass('alice', 185 * 86_400);
  expect(await refresh(mine.refreshToken)).toMatchObject(invalidGrant('Refresh token expired'));
  expect((await refresh(other.refreshToken)).status).toBe(200);
});

test('a refresh token can be looked at without being used', () => {
  spotify.configure({ rotatesRefreshTokens: true });
  const { grantId, refreshToken } = spotify.createGrant({ userId: 'looked-at' });

  expect(spotify.inspectRefreshToken(refreshToken)).toEqual({ grantId, generation: 0, isAlive: true });
  expect(spotify.inspectRefreshToken(refreshToken)).toEqual({ grantId, generation: 0, isAlive: true });
  spotify.revokeGrants('looked-at');
  expect(spotify.inspectRefreshToken(refreshToken)?.isAlive).toBe(false);
  expect(spotify.inspectRefreshToken('made up')).toBeUndefined();
});

describe('faults', () => {
  test('a status with HTML and the Retry-After given, for the next call only', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.setFault({ kind: 'status', status: 429, retryAfter: '86400', times: 1 });

    const struck = await refresh(refreshToken);

    expect(struck.status).toBe(429);
    expect(struck.headers.get('retry-after')).toBe('86400');
    expect(struck.text).toMatch('<html>');
    expect((await refresh(refreshToken)).status).toBe(200);
  });

  test('a reset before or after the exchange took effect', async () => {
    spotify.configure({ rotatesRefreshTokens: true });
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });

    spotify.setFault({ kind: 'reset-before', times: 1 });
    await expect(refresh(refreshToken)).rejects.toThrow('fetch failed');
    spotify.setFault({ kind: 'reset-after', times: 1 });
    await expect(refresh(refreshToken)).rejects.toThrow('fetch failed');

    expect(await refresh(refreshToken)).toMatchObject(invalidGrant('Invalid refresh token'));
  });

  test('a hang, until the client gives up', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.setFault({ kind: 'hang' });
    await expect(refresh(refreshToken, credentials, impatient())).rejects.toThrow('timeout');
  });

  test('an error of the service itself, and nothing is exchanged', async () => {
    spotify.configure({ rotatesRefreshTokens: true });
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.setFault({ kind: 'error', error: 'something_new', times: 1 });

    expect(await refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'something_new' } });
    expect((await refresh(refreshToken)).status).toBe(200);
  });

  test('a redirect', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    const elsewhere = `${spotify.url}/v1/me`;
    spotify.setFault({ kind: 'status', status: 302, location: elsewhere });

    const redirected = await refresh(refreshToken, credentials, { redirect: 'manual' });

    expect([redirected.status, redirected.headers.get('location')]).toEqual([302, elsewhere]);
  });

  test('an answer that is spoilt after the exchange took place', async () => {
    spotify.configure({ rotatesRefreshTokens: true });
    const exchangeWith = async (fault: Fault) => {
      const { refreshToken } = spotify.createGrant({ userId: 'alice' });
      spotify.setFault(fault);
      const answer = await refresh(refreshToken);
      spotify.setFault(undefined);
      expect(await refresh(refreshToken)).toMatchObject(invalidGrant('Invalid refresh token'));
      return answer;
    };

    const truncated = await exchangeWith({ kind: 'truncated' }).catch((error) => error);
    const mislabelled = await exchangeWith({ kind: 'content-type', contentType: 'text/plain' });
    const changed = await exchangeWith({
      kind: 'fields',
      fields: { expires_in: '3600', access_token: null },
    });
    const oversized = await exchangeWith({ kind: 'oversized' });

    expect(truncated).toBeInstanceOf(SyntaxError);
    expect([mislabelled.headers.get('content-type'), mislabelled.body]).toMatchObject([
      'text/plain',
      { expires_in: 3600 },
    ]);
    expect(changed.body).toEqual({
      token_type: 'Bearer',
      scope: expect.any(String),
      expires_in: '3600',
      refresh_token: expect.any(String),
    });
    expect(oversized.text.length).toBeGreaterThan(1_000_000);
    expect(oversized.body).toMatchObject({ expires_in: 3600 });
  });

  test('a body that begins and never ends', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.setFault({ kind: 'hang-in-body' });
    await expect(refresh(refreshToken, credentials, impatient())).rejects.toThrow('timeout');
  });

  test('a share of the users, always the same, and within every larger share', async () => {
    const users = Array.from({ length: 200 }, (_, index) => `user-${index}`);
    const tokens = users.map((userId) => spotify.createGrant({ userId }).refreshToken);
    const struckBy = async (shareOfUsers: number) => {
      spotify.setFault({ kind: 'error', error: 'invalid_grant', shareOfUsers });
      const answers = await Promise.all(tokens.map((token) => refresh(token)));
      return users.filter((_, index) => answers[index]?.status === 400);
    };

    const few = await struckBy(0.05);
    const some = await struckBy(0.3);

    expect(few.length).toBeGreaterThan(0);
    expect(few.length).toBeLessThan(30);
    expect(some).toEqual(expect.arrayContaining(few));
    expect(some.length).toBeGreaterThan(30);
    expect(await struckBy(0.3)).toEqual(some);
    expect(await struckBy(1)).toEqual(users);
  });

  test('a share of the calls', async () => {
    const { refreshToken } = spotify.createGrant({ userId: 'alice' });
    spotify.setFault({ kind: 'status', status: 500, share: 0.5 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(refreshToken)));
    const struckCount = answers.filter(({ status }) => status === 500).length;
    expect(struckCount).toBeGreaterThan(20);
    expect(struckCount).toBeLessThan(80);
  });
});

test('every call is logged with its grant, its outcome and its duration, and never with a token', async () => {
  const { refreshToken, grantId } = spotify.createGrant({ userId: 'alice' });
  spotify.configure({ latencyMillis: 50 });

  const { body } = await refresh(refreshToken);
  await refresh('unknown');

  expect(spotify.calls).toEqual([
    expect.objectContaining({ userId: 'alice', grantId, outcome: 'refreshed', status: 200 }),
    expect.objectContaining({ userId: undefined, outcome: 'invalid_grant', status: 400 }),
  ]);
  expect(spotify.calls[0]?.durationMillis).toBeGreaterThanOrEqual(49);
  expect(JSON.stringify(spotify.calls)).not.toContain(refreshToken);
  expect(JSON.stringify(spotify.calls)).not.toContain(body.access_token);
});

describe('over HTTP', () => {
  const control = (method: string, switchName: string, body?: unknown) =>
    fetch(`${spotify.url}/control/${switchName}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });

  test('another process has the same switches', async () => {
    const [tokens] = (await (
      await control('POST', 'grants', [{ userId: 'alice' }])
    ).json()) as GrantedTokens[];
    if (!tokens) throw new Error('no tokens came back');
    expect(await (await control('PATCH', 'settings', { rotatesRefreshTokens: true })).json()).toMatchObject({
      rotatesRefreshTokens: true,
      latencyMillis: 0,
    });
    expect((await refresh(tokens.refreshToken)).body).toHaveProperty('refresh_token');

    await control('PUT', 'fault', { kind: 'status', status: 503 });
    expect((await refresh(tokens.refreshToken)).status).toBe(503);
    await control('DELETE', 'fault');
    await control('POST', 'expire-access-tokens');
    expect(spotify.acceptsAccessToken(tokens.accessToken)).toBe(false);

    const rotating = spotify.createGrant({ userId: 'bob' });
    await control('POST', 'revoke', { userId: 'bob' });
    expect((await refresh(rotating.refreshToken)).status).toBe(400);

    expect(await (await control('GET', 'calls')).json()).toHaveLength(3);
    await control('DELETE', 'calls');
    expect(spotify.calls).toEqual([]);
  });

  test.each([
    ['PATCH', 'settings', { latency: 5 }, 400, 'latency must be left out'],
    ['PATCH', 'settings', { latencyMillis: '5' }, 400, 'latencyMillis must be a number'],
    ['PUT', 'fault', { kind: 'status', status: 200 }, 400, 'fault.status: must be an HTTP status from 300'],
    ['PUT', 'fault', { kind: 'fire' }, 400, 'fault.kind: '],
    ['PUT', 'fault', { kind: 'hang', shareOfUsers: 5 }, 400, 'fault.shareOfUsers: must be 0 to 1'],
    ['PUT', 'fault', { kind: 'hang', seconds: 5 }, 400, 'fault.seconds: '],
    ['PUT', 'fault', null, 400, 'fault: '],
    ['POST', 'grants', [{ userId: 'alice', authorizedAt: 'yesterday' }], 400, 'authorizedAt must be'],
    ['POST', 'grants', [{ user: 'alice' }], 400, 'userId must be a string'],
    ['POST', 'nonsense', {}, 404, 'no such switch'],
  ])('%s %s with %j is refused with a reason', async (method, name, body, status, reason) => {
    const response = await control(method, name, body);
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(reason);
  });
});

test('it runs as a process of its own, and ends when told to', async () => {
  const child = spawn(
    process.execPath,
    ['stand-ins/spotify/accounts-service.ts', '--client-id', 'client', '--client-secret', 'secret'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = await once(child.stdout, 'data');

  const response = await fetch(`${String(line).trim()}/control/calls`);
  child.kill('SIGTERM');
  const [exitCode] = await once(child, 'exit');

  expect(await response.json()).toEqual([]);
  expect(exitCode).toBe(0);
});

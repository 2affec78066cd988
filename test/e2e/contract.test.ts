import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { deviationsOf } from './openapi.ts';
import { type Answer, TestStack } from './test-stack.ts';

const PATHS = ['/api/v1/agents/music/status', '/agents/music/status', '/music/status'];

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start();
});

afterAll(async () => {
  await stack.stop();
});

function expectAsDescribed(answer: Answer): void {
  expect(deviationsOf(answer)).toEqual([]);
}

function expectProblem(answer: Answer, status: number): void {
  expectAsDescribed(answer);
  expect(answer.status).toBe(status);
  expect(answer.body.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.body.instance).toBe(answer.headers.get('apigw-requestid'));
}

/** Another user's valid token, with the payload replaced. */
async function tamperedToken(userId: string): Promise<string> {
  const [header, , signature] = (await stack.userToken(randomUUID())).split('.');
  const [, payload] = (await stack.userToken(userId)).split('.');
  return [header, payload, signature].join('.');
}

async function unsignedToken(userId: string): Promise<string> {
  const [, payload] = (await stack.userToken(userId)).split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
  return `${header}.${payload}.`;
}

describe('a user with a valid token for themselves', () => {
  test.each(PATHS)('is connected, under %s', async (path) => {
    const user = await stack.createConnectedUser(3_000);

    const answer = await stack.status(user.id, undefined, path);

    expect(deviationsOf(answer, `${path}/{user_id}`)).toEqual([]);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const profile = await stack.profile(user.id);
    const connectedAt = profile['spotify_connected_at'] as Date;
    const sixMonthsOn = await stack.sql<{ at: Date }>("select $1::timestamptz + interval '6 months' as at", [
      connectedAt,
    ]);
    expect(answer.body).toEqual({
      connected: true,
      spotify_user_id: user.spotifyUserId,
      spotify_user_email: user.email,
      connected_at: connectedAt.toISOString(),
      expires_at: profile.spotify_token_expires_at?.toISOString(),
      auto_refreshed: false,
      reauthorize_by: sixMonthsOn[0]?.at.toISOString(),
    });
  });

  test('is not connected when they never were', async () => {
    const id = await stack.stack.supabase.createUser(
      `${randomUUID()}@example.com`,
      'a password that nobody guesses',
    );

    const answer = await stack.status(id);

    expectAsDescribed(answer);
    expect([answer.status, answer.body]).toEqual([200, { connected: false }]);
  });

  test('is not connected after disconnecting', async () => {
    const user = await stack.createConnectedUser(3_000);
    await stack.stack.bondhu.disconnect(user.id);

    expect((await stack.status(user.id)).body).toEqual({ connected: false });
  });

  test('is not connected when their account is gone but their token is not', async () => {
    expect((await stack.status(randomUUID())).body).toEqual({ connected: false });
  });

  test('is told to reconnect when the grant was revoked, and Spotify is asked once', async () => {
    const user = await stack.createConnectedUser(-60);
    stack.stack.spotify.revokeGrants(user.id);

    const answers = [await stack.status(user.id), await stack.status(user.id)];

    for (const answer of answers) {
      expectAsDescribed(answer);
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({
        connected: false,
        reason: 'token_refresh_failed',
        retryable: false,
      });
    }
    expect(stack.spotifyCallsFor(user.id)).toHaveLength(1);
  });

  test('stays connected, degraded, while the token of a revoked grant lives', async () => {
    const user = await stack.createConnectedUser(120);
    stack.stack.spotify.revokeGrants(user.id);

    const answer = await stack.status(user.id);

    expectAsDescribed(answer);
    expect(answer.body).toMatchObject({ connected: true, auto_refreshed: false, degraded: true });
  });

  test('has their token refreshed when it is about to run out, and only then', async () => {
    const user = await stack.createConnectedUser(180);

    const first = await stack.status(user.id);
    const second = await stack.status(user.id);

    expectAsDescribed(first);
    expect(first.body).toMatchObject({ connected: true, auto_refreshed: true });
    expect(second.body).toEqual({ ...first.body, auto_refreshed: false });
    expect(Date.parse(first.body.expires_at)).toBeGreaterThan(Date.now() + 3_500_000);
    expect(stack.spotifyCallsFor(user.id)).toHaveLength(1);
    expect(
      stack.stack.spotify.acceptsAccessToken((await stack.profile(user.id)).spotify_access_token ?? ''),
    ).toBe(true);
  });
});

describe('while Spotify is down', () => {
  beforeAll(() => stack.stack.spotify.setFault({ kind: 'status', status: 503 }));
  afterAll(() => stack.stack.spotify.setFault(undefined));

  test('a token that still works is answered as connected, degraded', async () => {
    const user = await stack.createConnectedUser(120);

    const answer = await stack.status(user.id);

    expectAsDescribed(answer);
    expect(answer.body).toMatchObject({ connected: true, auto_refreshed: false, degraded: true });
  });

  test('a token that has run out is answered as retryable, with the seconds to wait', async () => {
    const user = await stack.createConnectedUser(-60);

    const answer = await stack.status(user.id);

    expectAsDescribed(answer);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ connected: false, reason: 'token_refresh_failed', retryable: true });
    expect(answer.body.retry_after).toBeGreaterThanOrEqual(1);
  });
});

describe('a request that is not a signed-in user asking about themselves', () => {
  test.each(['not-a-uuid', '123', '00000000-0000-0000-0000-00000000000g', "1'; drop table profiles; --"])(
    'is refused with 400 for the user id %s',
    async (userId) => {
      expectProblem(await stack.status(encodeURIComponent(userId), {}), 400);
    },
  );

  const forgeries: [string, (id: string) => Promise<string> | string | undefined][] = [
    ['no token', () => undefined],
    ['another scheme', () => 'Basic dXNlcjpwYXNz'],
    ['a malformed token', () => 'Bearer not.a.token'],
    [
      'an expired token',
      async (id) => `Bearer ${await stack.userToken(id, { exp: Math.floor(Date.now() / 1_000) - 90 })}`,
    ],
    [
      'a wrongly issued token',
      async (id) => `Bearer ${await stack.userToken(id, { iss: 'https://evil.example/auth/v1' })}`,
    ],
    [
      'a token for another audience',
      async (id) => `Bearer ${await stack.userToken(id, { aud: 'somebody' })}`,
    ],
    ['a service token', async (id) => `Bearer ${await stack.userToken(id, { role: 'service_role' })}`],
    ['a wrongly signed token', async (id) => `Bearer ${await tamperedToken(id)}`],
    ['an unsigned token', async (id) => `Bearer ${await unsignedToken(id)}`],
  ];
  test.each(forgeries)('is refused with 401 with %s', async (_name, makeAuthorization) => {
    const user = await stack.createConnectedUser(3_000);
    const authorization = await makeAuthorization(user.id);

    const answer = await stack.status(user.id, authorization === undefined ? {} : { authorization });

    expectProblem(answer, 401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('is refused with 403 for another user, the same whether or not that user exists', async () => {
    const [own, other] = [await stack.createConnectedUser(3_000), await stack.createConnectedUser(3_000)];
    const authorization = `Bearer ${await stack.userToken(own.id)}`;

    const [existing, unknown] = [
      await stack.status(other.id, { authorization }),
      await stack.status(randomUUID(), { authorization }),
    ];

    expectProblem(existing, 403);
    expectProblem(unknown, 403);
    expect({ ...existing.body, instance: null }).toEqual({ ...unknown.body, instance: null });
  });

  test.each(['ES256', 'RS256', 'HS256'] as const)(
    'is answered when the token is signed with %s',
    async (algorithm) => {
      const user = await stack.createConnectedUser(3_000);
      const authorization = `Bearer ${await stack.userToken(user.id, {}, algorithm)}`;

      expect((await stack.status(user.id, { authorization })).body).toMatchObject({ connected: true });
    },
  );
});

describe("when Supabase's signing keys change", () => {
  test('tokens of the next key are answered, also of one that no instance has seen; those of a revoked key are not', async () => {
    const user = await stack.createConnectedUser(3_000);
    const ask = async (token: string) => stack.status(user.id, { authorization: `Bearer ${token}` });
    const old = await stack.userToken(user.id);
    expect(await ask(old)).toMatchObject({ status: 200 });

    const { supabase } = stack.stack;
    for (let rotations = 0; rotations < 3; rotations += 1) {
      await supabase.rotateSigningKey();
      expect(await ask(await stack.userToken(user.id))).toMatchObject({ status: 200 });
    }
    expect(await ask(old)).toMatchObject({ status: 200 });

    supabase.revokeSigningKeys();
    // Made up: has the instance fetch the set that is without the old key.
    const [, payload, signature] = old.split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'made-up' })).toString('base64url');
    expect(await ask(`${header}.${payload}.${signature}`)).toMatchObject({ status: 401 });
    expect(await ask(old)).toMatchObject({ status: 401 });
  });
});

describe('when something that the function needs is out of reach', () => {
  afterEach(() => stack.stack.supabase.setFault(undefined));

  test.each([{ kind: 'reset' }, { kind: 'hang' }, { kind: 'status', status: 503 }] as const)(
    'the answer is 503, not "disconnected", with Supabase: $kind',
    async (fault) => {
      const user = await stack.createConnectedUser(3_000);
      const authorization = `Bearer ${await stack.userToken(user.id)}`;
      await stack.status(user.id, { authorization });
      await stack.stack.supabase.setFault(fault);

      const answer = await stack.status(user.id, { authorization });

      expectProblem(answer, 503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    },
  );
});

describe('what the gateway answers by itself', () => {
  test.each([
    ['GET', '/'],
    ['GET', '/api/v1/agents/music/status'],
    ['POST', `/music/status/${randomUUID()}`],
  ])('%s %s is not found', async (method, path) => {
    const answer = await stack.request(path, { method });

    expectAsDescribed(answer);
    expect([answer.status, answer.body]).toEqual([404, { message: 'Not Found' }]);
  });

  test('lets exactly the configured origin in, with the headers that a browser needs', async () => {
    const preflight = (origin: string) =>
      stack.request(`/music/status/${randomUUID()}`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'authorization',
        },
      });

    const allowed = await preflight('http://localhost:3000');
    const foreign = await preflight('http://localhost:3001');

    expect(allowed.headers.get('access-control-allow-origin')).toBe('http://localhost:3000');
    expect(allowed.headers.get('access-control-allow-headers')).toContain('authorization');
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
    const answer = await stack.request('/music/status/x', { headers: { origin: 'http://localhost:3000' } });
    expect(answer.headers.get('access-control-expose-headers')?.split(',').sort()).toEqual([
      'apigw-requestid',
      'retry-after',
    ]);
  });
});

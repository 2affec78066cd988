import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createStatusClient, type StatusClientOptions } from '../../frontend/src/status-client.ts';
import type { StatusError } from '../../frontend/src/status-error.ts';
import { toAnswer } from '../../lambda/status/answer.ts';
import { FakeHttpServer, hang, html, json, type Respond, reset } from '../lambda/fakes/http-server.ts';
import { ManualClock } from './fakes/manual-clock.ts';

const USER_ID = 'b3a4f1de-7a4e-4d3c-9f57-1c1d1f0f7a11';
const ATTEMPT_TIMEOUT_MILLISECONDS = 12_000;

const details = {
  spotifyUserId: '31ab',
  spotifyUserEmail: 'someone@example.com',
  connectedAt: '2026-10-24T04:00:12.000Z',
  expiresAt: '2026-11-24T13:00:00.000Z',
  reauthorizeBy: '2027-04-24T04:00:12.000Z',
  secondsLeft: 3_600,
};

const connected = toAnswer({ kind: 'connected', details, autoRefreshed: true, degraded: false });

let api: FakeHttpServer;
let clock: ManualClock;

beforeAll(async () => {
  api = await FakeHttpServer.start();
});
afterAll(() => api.stop());

beforeEach(() => {
  api.reset();
  clock = new ManualClock();
});

describe('the request', () => {
  beforeEach(() => {
    api.respond = json(200, { connected: false });
  });

  test("is a GET of the user's status with their access token", async () => {
    await client().check(USER_ID);

    expect(api.requests).toHaveLength(1);
    expect(api.requests[0]).toMatchObject({
      method: 'GET',
      path: `/api/v1/agents/music/status/${USER_ID}`,
      headers: { authorization: 'Bearer access-token' },
      body: '',
    });
  });

  test('does not mind slashes at the end of the address', async () => {
    await client({ baseUrl: `${api.url.origin}//` }).check(USER_ID);

    expect(api.requests[0]?.path).toBe(`/api/v1/agents/music/status/${USER_ID}`);
  });

  test('keeps a user id within its segment of the path', async () => {
    await client().check('../../admin?all=1');

    expect(api.requests[0]?.path).toBe('/api/v1/agents/music/status/..%2F..%2Fadmin%3Fall%3D1');
  });

  test('waits for the access token', async () => {
    await client({ getAccessToken: () => Promise.resolve('later') }).check(USER_ID);

    expect(api.requests[0]?.headers.authorization).toBe('Bearer later');
  });

  test.each([null, ''])('is not sent without an access token: %p', async (accessToken) => {
    const failure = await failureOf(client({ getAccessToken: () => accessToken }).check(USER_ID));

    expect(failure).toMatchObject({ code: 'signed_out', status: null });
    expect(api.requests).toEqual([]);
  });
});

describe('an answer about the connection', () => {
  test('connected', async () => {
    expect(await checkAnsweredBy(json(200, connected))).toEqual({
      kind: 'connected',
      spotifyUserId: '31ab',
      spotifyUserEmail: 'someone@example.com',
      connectedAt: '2026-10-24T04:00:12.000Z',
      expiresAt: '2026-11-24T13:00:00.000Z',
      reauthorizeBy: '2027-04-24T04:00:12.000Z',
      autoRefreshed: true,
      degraded: false,
    });
  });

  test('connected, but not refreshed in time', async () => {
    const answer = toAnswer({ kind: 'connected', details, autoRefreshed: false, degraded: true });
    expect(await checkAnsweredBy(json(200, answer))).toMatchObject({
      kind: 'connected',
      autoRefreshed: false,
      degraded: true,
    });
  });

  test('connected, with hardly anything that can be read', async () => {
    const sparse = {
      connected: true,
      spotify_user_id: null,
      spotify_user_email: 7,
      connected_at: 17,
      expires_at: 'in an hour',
      reauthorize_by: 'soon',
    };
    expect(await checkAnsweredBy(json(200, sparse))).toEqual({
      kind: 'connected',
      spotifyUserId: null,
      spotifyUserEmail: null,
      connectedAt: null,
      expiresAt: null,
      reauthorizeBy: null,
      autoRefreshed: false,
      degraded: false,
    });
  });

  test('not connected', async () => {
    const answer = toAnswer({ kind: 'not_connected' });
    expect(await checkAnsweredBy(json(200, answer))).toEqual({ kind: 'disconnected' });
  });

  test('the grant is dead', async () => {
    const answer = toAnswer({ kind: 'reauthorization_required' });
    expect(await checkAnsweredBy(json(200, answer))).toEqual({
      kind: 'reauthorization_required',
      message: expect.stringContaining('connect Spotify again'),
    });
  });

  test.each<[unknown, number]>([
    [42, 42],
    [86_400, 3_600],
    ['soon', 0],
    [undefined, 0],
  ])('Spotify is out of reach and the token has run out; retry after %p', async (retry_after, seconds) => {
    const answer = {
      ...toAnswer({ kind: 'refresh_failed', details: null, isRevoked: false, retryAfterSeconds: 42 }),
      retry_after,
    };
    expect(await checkAnsweredBy(json(200, answer))).toEqual({
      kind: 'unavailable',
      message: expect.stringContaining('Your connection is kept'),
      retryAfterSeconds: seconds,
    });
  });

  test('an unknown reason is never an invitation to connect', async () => {
    const answer = { connected: false, reason: 'moon_in_the_wrong_house' };
    expect(await checkAnsweredBy(json(200, answer))).toMatchObject({ kind: 'unavailable', message: null });
  });

  async function checkAnsweredBy(respond: Respond) {
    api.respond = respond;
    return client().check(USER_ID);
  }
});

describe('a refusal is a typed error and is not repeated:', () => {
  const problem = { type: 'about:blank', title: 'x', status: 0, detail: 'For the user.', instance: 'id' };
  const refusals: [string, Respond, Partial<StatusError>][] = [
    ['400', json(400, problem), { code: 'rejected', status: 400, detail: 'For the user.' }],
    ['401', json(401, problem), { code: 'unauthorized', status: 401, detail: 'For the user.' }],
    ['403', json(403, problem), { code: 'forbidden', status: 403, detail: 'For the user.' }],
    [
      "the gateway's 404",
      json(404, { message: 'Not Found' }),
      { code: 'rejected', status: 404, detail: 'Not Found' },
    ],
    ['a 404 of another API', json(404, { connected: false }), { code: 'rejected', status: 404 }],
    [
      'a 404 that is a page',
      html(404),
      { code: 'rejected', status: 404, detail: 'Spotify cannot be checked right now.' },
    ],
    ['a page in place of an answer', html(200), { code: 'unexpected_answer', status: 200 }],
    ['nothing in place of an answer', text(200, ''), { code: 'unexpected_answer', status: 200 }],
    ['JSON that is cut off', text(200, '{"connected": tr'), { code: 'unexpected_answer', status: 200 }],
    ['JSON that is no object', json(200, ['connected']), { code: 'unexpected_answer', status: 200 }],
    ['null', json(200, null), { code: 'unexpected_answer', status: 200 }],
    ['another API', json(200, { connected: 'yes' }), { code: 'unexpected_answer', status: 200 }],
  ];
  test.each(refusals)('%s', async (_name, respond, expected) => {
    api.respond = respond;

    const failure = await failureOf(client().check(USER_ID));

    expect(failure).toMatchObject({ name: 'StatusError', retryAfterSeconds: 0, ...expected });
    expect(api.requests).toHaveLength(1);
    expect(clock.pending).toEqual([]);
  });
});

describe('what is unavailable is asked again:', () => {
  const outages: [string, Respond][] = [
    ["the function's 503", json(503, { detail: 'Nothing is lost.' })],
    ["the gateway's 429", json(429, { message: 'Too Many Requests' })],
    ["the gateway's 500", json(500, { message: 'Internal Server Error' })],
    ["a proxy's 502", html(502)],
    ['504', json(504, { message: null })],
    ['a connection that is reset', reset],
    ['an answer that breaks off', breakOff],
  ];
  test.each(outages)('%s', async (_name, respond) => {
    api.respond = respond;
    const check = client().check(USER_ID);
    await clock.timer(250);
    expect(api.requests).toHaveLength(1);

    api.respond = json(200, connected);
    clock.advance(250);

    expect(await check).toMatchObject({ kind: 'connected' });
    expect(api.requests).toHaveLength(2);
    expect(clock.pending).toEqual([]);
  });

  test('what a browser reports about an answer without CORS headers', async () => {
    const opaque = new TypeError('Failed to fetch');
    const check = client({ fetch: () => Promise.reject(opaque) }).check(USER_ID);
    for (const wait of [250, 500, 1_000, 2_000]) {
      await clock.timer(wait);
      clock.advance(wait);
    }

    expect(await failureOf(check)).toMatchObject({ code: 'unavailable', status: null, cause: opaque });
  });

  test('an access token that cannot be had for now', async () => {
    let isOut = true;
    const check = client({
      getAccessToken: async () => {
        if (isOut) throw new Error('the session could not be refreshed');
        return 'access-token';
      },
    }).check(USER_ID);
    await clock.timer(250);

    isOut = false;
    api.respond = json(200, connected);
    clock.advance(250);

    expect(await check).toMatchObject({ kind: 'connected' });
  });

  test('waiting twice as long each time, and for 5 s in all', async () => {
    api.respond = json(503, { detail: 'Nothing is lost.' });

    const check = client().check(USER_ID);
    for (const wait of [250, 500, 1_000, 2_000]) {
      await clock.timer(wait);
      clock.advance(wait);
    }

    expect(await failureOf(check)).toMatchObject({
      code: 'unavailable',
      status: 503,
      detail: 'Nothing is lost.',
    });
    expect(api.requests).toHaveLength(5);
  });

  test('up to twice as long as at least', async () => {
    clock.chance = 0.5;
    api.respond = html(503);

    const check = client().check(USER_ID);
    await clock.timer(375);
    api.respond = json(200, connected);
    clock.advance(375);

    expect(await check).toMatchObject({ kind: 'connected' });
  });

  test('no sooner than it says', async () => {
    api.respond = json(503, {}, { 'retry-after': '3' });
    const check = client().check(USER_ID);
    await clock.timer(3_250);
    api.respond = json(200, connected);
    clock.advance(3_249);
    expect(api.requests).toHaveLength(1);
    clock.advance(1);

    expect(await check).toMatchObject({ kind: 'connected' });
  });

  test('not at all when it asks for longer than users wait, but the error has it', async () => {
    api.respond = json(503, {}, { 'retry-after': '10' });

    const failure = await failureOf(client().check(USER_ID));

    expect(failure).toMatchObject({ code: 'unavailable', status: 503, retryAfterSeconds: 10 });
    expect(api.requests).toHaveLength(1);
  });
});

describe('silence', () => {
  test.each<[string, Respond]>([
    ['before', hang],
    ['after', (response) => void response.writeHead(200).write('{"connected":')],
  ])('%s the headers ends after 12 s, with the request', async (_when, respond) => {
    const arrived = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    api.respond = (response, request) => {
      response.on('close', closed.resolve);
      respond(response, request);
      arrived.resolve();
    };

    const check = client().check(USER_ID);
    await arrived.promise;
    clock.advance(ATTEMPT_TIMEOUT_MILLISECONDS);

    expect(await failureOf(check)).toMatchObject({ code: 'unavailable', status: null });
    await closed.promise;
    expect(api.requests).toHaveLength(1);
  });

  test('of getting the access token counts, too', async () => {
    const check = client({ getAccessToken: () => new Promise(() => {}) }).check(USER_ID);
    await clock.timer(ATTEMPT_TIMEOUT_MILLISECONDS);
    clock.advance(ATTEMPT_TIMEOUT_MILLISECONDS);

    expect(await failureOf(check)).toMatchObject({ code: 'unavailable' });
  });
});

describe('a check that is called off', () => {
  test('before it begins sends nothing', async () => {
    const reason = new Error('no longer of interest');

    const check = client().check(USER_ID, { signal: AbortSignal.abort(reason) });

    expect(await failureOf(check)).toBe(reason);
    expect(api.requests).toEqual([]);
  });

  test('during the request ends it', async () => {
    const caller = new AbortController();
    const reason = new Error('no longer of interest');
    const closed = Promise.withResolvers<void>();
    api.respond = (response) => {
      response.on('close', closed.resolve);
      caller.abort(reason);
    };

    const check = client().check(USER_ID, { signal: caller.signal });

    expect(await failureOf(check)).toBe(reason);
    await closed.promise;
    expect(clock.pending).toEqual([]);
  });

  test('between two attempts makes no other', async () => {
    const caller = new AbortController();
    const reason = new Error('no longer of interest');
    api.respond = html(503);

    const check = client().check(USER_ID, { signal: caller.signal });
    await clock.timer(250);
    caller.abort(reason);

    expect(await failureOf(check)).toBe(reason);
    expect(clock.pending).toEqual([]);
    expect(api.requests).toHaveLength(1);
  });
});

describe('an address that is wrong', () => {
  test.each(['htp:/nowhere', 'not an address', undefined as unknown as string])(
    'is an outage like any other: %p',
    async (baseUrl) => {
      const check = client({ baseUrl }).check(USER_ID);
      for (const wait of [250, 500, 1_000, 2_000]) {
        await clock.timer(wait);
        clock.advance(wait);
      }
      expect(await failureOf(check)).toMatchObject({ code: 'unavailable', status: null });
    },
  );
});

function client(options: Partial<StatusClientOptions> = {}) {
  return createStatusClient({
    baseUrl: api.url.origin,
    getAccessToken: () => 'access-token',
    clock,
    ...options,
  });
}

async function failureOf(check: Promise<unknown>): Promise<unknown> {
  return check.then(
    (status) => {
      throw new Error(`expected a failure, got ${JSON.stringify(status)}`);
    },
    (error: unknown) => error,
  );
}

function text(status: number, body: string): Respond {
  return (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}

function breakOff(response: Parameters<Respond>[0]): void {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{"connected":', () => response.socket?.resetAndDestroy());
}

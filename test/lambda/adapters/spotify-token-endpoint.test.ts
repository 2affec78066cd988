import { hash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Secret, SPOTIFY_CLIENT, type SpotifyClient } from '../../../lambda/adapters/secret.ts';
import { SpotifyTokenEndpoint } from '../../../lambda/adapters/spotify-token-endpoint.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import type {
  ClientAnswer,
  RevocationReason,
  TokenAnswer,
} from '../../../lambda/connection/token-endpoint.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { FakeHttpServer, hang, html, json, type Respond, reset } from '../fakes/http-server.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const REFRESH_TOKEN = 'AQDcanary-refresh-token_of+the/user=';
const TIMEOUT_MILLISECONDS = 5_000;
const SHORT_TIMEOUT_MILLISECONDS = 300;

/** What Spotify answers when all is well. */
const success = {
  access_token: 'BQCcanary-access-token',
  token_type: 'Bearer',
  scope: 'user-read-private user-top-read',
  expires_in: 3_600,
};

const ROTATED: TokenAnswer = {
  kind: 'refresh_token_only',
  refreshToken: 'AQDcanary-rotated',
  reason: expect.any(String) as never,
};

const REFRESHED_AND_ROTATED: TokenAnswer = {
  kind: 'refreshed',
  accessToken: 'BQCcanary-access-token',
  refreshToken: 'AQDcanary-rotated',
  expiresInSeconds: 3_600,
};

let spotify: FakeHttpServer;
let secretsManager: FakeSecretsManager;
let clock: VirtualClock;
let endpoint: SpotifyTokenEndpoint;

beforeAll(async () => {
  spotify = await FakeHttpServer.start();
});
afterAll(() => spotify.stop());

beforeEach(() => {
  spotify.reset();
  secretsManager = new FakeSecretsManager({
    client_id: '5fe01282e44241328a84e7c5cc169165',
    client_secret: 'a1b2c3',
  });
  clock = new VirtualClock();
  const secret = new Secret(secretsManager.reader, 'arn', SPOTIFY_CLIENT, clock);
  endpoint = new SpotifyTokenEndpoint(new URL('/api/token', spotify.url), secret);
});

describe('the request', () => {
  test('is the one that Spotify documents, byte for byte', async () => {
    await refresh(json(200, success));
    expect(spotify.requests).toHaveLength(1);
    const [request] = spotify.requests;
    expect(request).toMatchObject({
      method: 'POST',
      path: '/api/token',
      headers: {
        'content-type': 'application/x-www-form-urlencoded;charset=UTF-8',
        accept: 'application/json',
        authorization: `Basic ${Buffer.from('5fe01282e44241328a84e7c5cc169165:a1b2c3').toString('base64')}`,
      },
    });
    expect([...new URLSearchParams(request?.body)]).toEqual([
      ['grant_type', 'refresh_token'],
      ['refresh_token', REFRESH_TOKEN],
    ]);
    expect(request?.body).not.toContain('a1b2c3');
  });
});

test('a connection that has been idle for 4 s is closed: a server may do so at any moment, and lose a request', async () => {
  let closed: Promise<unknown> | undefined;
  await refresh((response, request) => {
    closed = once(response.socket as Socket, 'close');
    json(200, success)(response, request);
  });
  await closed;

  await refresh(json(200, success));

  const [first, second] = spotify.requests.map(({ port }) => port);
  expect(second).not.toBe(first);
}, 15_000);

describe('a success', () => {
  test('without a new refresh token keeps the one in use', async () => {
    expect(await refresh(json(200, success))).toEqual({
      kind: 'refreshed',
      accessToken: 'BQCcanary-access-token',
      expiresInSeconds: 3_600,
    });
  });

  test('with a new refresh token carries it', async () => {
    expect(await refresh(json(200, { ...success, refresh_token: 'AQDcanary-rotated' }))).toEqual({
      kind: 'refreshed',
      accessToken: 'BQCcanary-access-token',
      refreshToken: 'AQDcanary-rotated',
      expiresInSeconds: 3_600,
    });
  });

  test.each<[unknown, number]>([
    [1, 1],
    [59, 59],
    [60, 60],
    [3_599.5, 3_599.5],
    [86_400, 86_400],
    ['3600', 3_600],
    [undefined, 3_600],
    [null, 3_600],
  ])('that expires in %p lives %p s', async (expires_in, expiresInSeconds) => {
    expect(await refresh(json(200, { ...success, expires_in }))).toMatchObject({ expiresInSeconds });
  });

  test.each<[unknown]>([[undefined], [null], ['']])(
    'whose refresh token is %p keeps the one in use',
    async (refresh_token) => {
      expect(await refresh(json(200, { ...success, refresh_token }))).toEqual({
        kind: 'refreshed',
        accessToken: 'BQCcanary-access-token',
        expiresInSeconds: 3_600,
      });
    },
  );

  test.each<[string, unknown]>([
    ['over 4,096 bytes', 'x'.repeat(4_097)],
    ['no printable ASCII', 'AQDcanary\u0000'],
    ['no text', { nested: 'AQDcanary' }],
  ])('whose refresh token is %s is an access token all the same', async (_name, refresh_token) => {
    expect(await refresh(json(200, { ...success, refresh_token }))).toEqual({
      kind: 'refreshed',
      accessToken: 'BQCcanary-access-token',
      expiresInSeconds: 3_600,
      reason: 'unusable refresh_token in a successful answer',
    });
  });

  const oddFields: [string, object][] = [
    ['no token type', { token_type: undefined }],
    ['another token type', { token_type: 'mac' }],
    ['a token type in capitals', { token_type: 'BEARER' }],
    ['a token type that is none', { token_type: 7 }],
    ['a scope of null', { scope: null }],
    ['a list of scopes', { scope: ['user-read-private'] }],
    ['an id token', { id_token: 'e30.e30.' }],
    ['an id token of null', { id_token: null }],
    ['an id token of another type', { id_token: { sub: 'somebody' } }],
    ['an error beside the tokens', { error: null, error_description: '' }],
    ['unknown fields', { refresh_token_expires_in: null, __proto: [], nested: { a: [1] } }],
  ];
  test.each(oddFields)('with %s is one', async (_name, change) => {
    const answer = await refresh(json(200, { ...success, refresh_token: 'AQDcanary-rotated', ...change }));
    expect(answer).toEqual(REFRESHED_AND_ROTATED);
  });

  const whole = JSON.stringify({ ...success, refresh_token: 'AQDcanary-rotated' });
  const oddAnswers: [string, Respond][] = [
    ...[201, 202, 203, 205, 206, 299].map((status): [string, Respond] => [
      `status ${status}`,
      text(status, whole),
    ]),
    ['another content type', html(200, whole)],
    ['no content type', (response) => void response.writeHead(200).end(whole)],
    ['a content type that is none', bytes('text', { 'content-type': ';;' }, whole)],
    ['a byte order mark', text(200, `\uFEFF${whole}`)],
    ['white space around it', text(200, `\r\n\t ${whole}\n\n`)],
    [
      'a key that comes twice',
      text(200, whole.replace('{', '{"refresh_token":"AQDcanary-first","scope":1,')),
    ],
    ['a challenge in its headers', json(200, JSON.parse(whole), { 'www-authenticate': 'Basic realm="x"' })],
    ['a reset after the last brace', resetAfter(whole)],
    ['silence after the last brace', (response) => void response.writeHead(200).write(whole)],
    ['100 kB of headers', json(200, JSON.parse(whole), { 'x-odd': 'x'.repeat(100_000) })],
    [
      'hundreds of headers',
      json(
        200,
        JSON.parse(whole),
        Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`x-${i}`, '1'])),
      ),
    ],
    ['control characters in a header that is read', raw('www-authenticate: \u0000\u0001\r\n', whole)],
    ['a control character in a header', raw(`x-odd: a\u0001\u007f\u0000b\r\n`, whole)],
    [
      'two framings',
      raw('transfer-encoding: chunked\r\n', `${whole.length.toString(16)}\r\n${whole}\r\n0\r\n\r\n`),
    ],
  ];
  test.each(oddAnswers)('with %s is one', async (_name, respond) => {
    expect(await refresh(respond, SHORT_TIMEOUT_MILLISECONDS)).toEqual(REFRESHED_AND_ROTATED);
  });

  const codings: [string, (body: string) => Buffer][] = [
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['gzip, br', (body) => brotliCompressSync(gzipSync(body))],
    ['deflate,identity , gzip', (body) => gzipSync(deflateSync(body))],
    ['identity', Buffer.from],
    ['', Buffer.from],
    // A proxy that unpacked the answer and left the header, and names that are no coding.
    ['gzip', Buffer.from],
    ['utf-8', Buffer.from],
  ];
  test.each(codings)('in the coding %j is one (%#)', async (coding, encode) => {
    const respond = bytes('application/json', { 'content-encoding': coding }, encode(whole));
    expect(await refresh(respond)).toEqual(REFRESHED_AND_ROTATED);
  });

  test('is whole also where a packet ends within a character', async () => {
    const body = Buffer.from(JSON.stringify({ ...success, note: 'é' }));
    const middle = body.indexOf(0xa9);
    const answer = await refresh((response) => {
      response.writeHead(200).write(body.subarray(0, middle));
      setTimeout(() => response.end(body.subarray(middle)), 20);
    });
    expect(answer).toMatchObject({ kind: 'refreshed' });
  });
});

describe('a connection over which an odd answer came', () => {
  test.each<[string, Respond]>([
    ['a control character in a header', raw('x-odd: a\u0001b\r\n', JSON.stringify(success))],
    [
      'two framings',
      raw(
        'transfer-encoding: chunked\r\n',
        `${JSON.stringify(success).length.toString(16)}\r\n${JSON.stringify(success)}\r\n0\r\n\r\n`,
      ),
    ],
  ])('(%s) is not used again: what is left on it must not be read as an answer', async (_name, odd) => {
    await refresh(odd);
    await refresh(json(200, success));
    await refresh(json(200, success));
    const [first, second, third] = spotify.requests.map(({ port }) => port);
    expect(second).not.toBe(first);
    expect(third).toBe(second);
  });
});

describe('a successful answer that cannot be used says nothing about the grant:', () => {
  const changes: [string, object][] = [
    ['no access token', { access_token: undefined }],
    ['an empty access token', { access_token: '' }],
    ['an access token of another type', { access_token: 7 }],
    ['an access token that the database refuses', { access_token: 'a\u0000b' }],
    ['an access token of over 4,096 bytes', { access_token: 'x'.repeat(4_097) }],
    ['a lifetime of zero', { expires_in: 0 }],
    ['a negative lifetime', { expires_in: -3_600 }],
    ['a huge lifetime', { expires_in: 86_401 }],
    ['an absurd lifetime', { expires_in: 1e300 }],
    ['a lifetime of less than a second', { expires_in: 0.5 }],
    ['a lifetime that is no number', { expires_in: 'an hour' }],
    ['a lifetime of another type', { expires_in: [3_600] }],
  ];
  test.each(changes)('%s', async (_name, change) => {
    const answer = await refresh(json(200, { ...success, ...change }));
    expect(answer).toEqual({ kind: 'unavailable', reason: expect.any(String) });
  });

  test.each(changes)('%s, but the new refresh token in it is kept', async (_name, change) => {
    const answer = await refresh(json(200, { ...success, refresh_token: 'AQDcanary-rotated', ...change }));
    expect(answer).toEqual(ROTATED);
  });

  const remains: [string, Respond][] = [
    ['cut off later', text(200, '{"refresh_token": "AQDcanary-rotated", "access_tok')],
    ['with JSON escapes', text(200, '{"refresh_token":"AQDcanary\\u002drotated"')],
    [
      'followed by 10 MB',
      text(200, `{"refresh_token": "AQDcanary-rotated", "x": "${'x'.repeat(10_000_000)}"}`),
    ],
    ['followed by a reset', resetAfter('{"refresh_token": "AQDcanary-rotated", ')],
    [
      'followed by silence',
      (response) => void response.writeHead(200).write('{"refresh_token":"AQDcanary-rotated",'),
    ],
  ];
  const withRotated = JSON.stringify({ refresh_token: 'AQDcanary-rotated', ...success, note: noise(2_000) });
  test.each<[string, Buffer]>([
    ['gzip', gzipSync(withRotated)],
    ['br', brotliCompressSync(withRotated)],
    ['deflate', deflateSync(withRotated)],
    ['deflate', deflateRawSync(withRotated)],
    ['br, gzip', gzipSync(brotliCompressSync(withRotated))],
  ])('a new refresh token in %s that breaks off is kept (%#)', async (coding, whole) => {
    const half = whole.subarray(0, whole.length * 0.8);
    const headers = { 'content-encoding': coding };
    expect(await refresh(bytes('application/json', headers, half))).toEqual(ROTATED);
    const cutOff = bytes('application/json', { ...headers, 'content-length': String(whole.length) }, half);
    expect(await refresh(cutOff, SHORT_TIMEOUT_MILLISECONDS)).toEqual(ROTATED);
  });

  test.each(['gzip', 'deflate', 'br', 'zstd'])('content that is not in its coding: %s', async (coding) => {
    const respond = bytes('text/html', { 'content-encoding': coding }, '<html><h1>It works!</h1></html>');
    expect(await refresh(respond)).toEqual({ kind: 'unavailable', reason: 'not JSON' });
  });

  test.each<[string, (body: string) => Buffer]>([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['gzip, gzip', (body) => gzipSync(gzipSync(body))],
  ])(
    '10 MB packed as %s are not unpacked, but for a new refresh token at their beginning',
    async (coding, encode) => {
      const bomb = (start: string) =>
        bytes(
          'application/json',
          { 'content-encoding': coding },
          encode(`${start}${'x'.repeat(10_000_000)}`),
        );
      expect(await refresh(bomb('{"access_token":"'))).toEqual({
        kind: 'unavailable',
        reason: 'answer too long',
      });
      expect(await refresh(bomb('{"refresh_token":"AQDcanary-rotated","'))).toEqual({
        ...ROTATED,
        reason: 'answer too long',
      });
    },
  );

  test.each(remains)('a new refresh token %s is kept', async (_name, respond) => {
    expect(await refresh(respond, SHORT_TIMEOUT_MILLISECONDS)).toEqual(ROTATED);
  });

  test.each<[string, Respond]>([
    ['that is cut off itself', text(200, '{"access_token": "BQCcanary", "refresh_token": "AQDcanary-rota')],
    ['that was in use anyway', json(200, { refresh_token: REFRESH_TOKEN })],
    ['in an error', json(500, { refresh_token: 'AQDcanary-rotated' })],
  ])('a refresh token %s is not', async (_name, respond) => {
    expect(await refresh(respond)).toMatchObject({ kind: 'unavailable' });
  });
});

describe('an answer that is no answer says nothing about the grant:', () => {
  const faults: [string, Respond, string][] = [
    ['500', html(500), 'status 500'],
    ['502', html(502), 'status 502'],
    ['a status that HTTP does not have', html(999), 'status 999'],
    ['503', html(503), 'status 503'],
    ['503 with an OAuth error', json(503, { error: 'invalid_grant' }), 'status 503'],
    ['a page instead of JSON', html(200), 'not JSON'],
    ['JSON that is cut off', text(200, '{"access_token": "BQCcanary-access-tok'), 'not JSON'],
    ['JSON that is no object', json(200, ['BQCcanary-access-token']), 'unusable access_token'],
    ['nothing', text(200, ''), 'not JSON'],
    ['no content', (response) => void response.writeHead(204).end(), 'not JSON'],
    [
      'a redirect',
      (response) => void response.writeHead(302, { location: '/elsewhere' }).end(),
      'OAUTH_RESPONSE_IS_NOT_CONFORM',
    ],
    ['408', html(408), 'status 408'],
    ['408 with an OAuth error', json(408, { error: 'invalid_request' }), 'status 408'],
    ['421', html(421), 'status 421'],
    ['425', html(425), 'status 425'],
    ['temporarily_unavailable', json(400, { error: 'temporarily_unavailable' }), '^temporarily_unavailable$'],
    ['server_error', json(400, { error: 'server_error' }), '^server_error$'],
    ['server_error with another status', json(403, { error: 'server_error' }), '^server_error$'],
    ['300 kB of headers', json(200, success, { 'x-odd': 'x'.repeat(300_000) }), 'HPE_HEADER_OVERFLOW'],
    ['10 MB', text(200, `{"access_token": "${'x'.repeat(10_000_000)}"}`), 'answer too long'],
    ['a reset before the headers', reset, 'connection failed: ECONNRESET'],
    [
      'a reset after the headers',
      resetAfter('{"access_token": "BQCcanary'),
      'connection failed: (ECONNRESET|UND_ERR_SOCKET)',
    ],
  ];
  test.each(faults)('%s', async (_name, respond, reason) => {
    expect(await refresh(respond)).toEqual({ kind: 'unavailable', reason: expect.stringMatching(reason) });
    expect(spotify.requests).toHaveLength(1);
  });

  test.each<[string, Respond]>([
    ['before', hang],
    ['after', (response) => void response.writeHead(200).write('{"access_token":')],
  ])('silence %s the headers', async (_when, respond) => {
    const answer = await refresh(respond, SHORT_TIMEOUT_MILLISECONDS);
    expect(answer).toEqual({ kind: 'unavailable', reason: 'no answer in time' });
  });

  test('no server at the other end', async () => {
    const gone = await FakeHttpServer.start();
    await gone.stop();
    const secret = new Secret(secretsManager.reader, 'arn', SPOTIFY_CLIENT, clock);
    const answer = await new SpotifyTokenEndpoint(gone.url, secret).refresh(
      REFRESH_TOKEN,
      TIMEOUT_MILLISECONDS,
    );
    expect(answer).toEqual({ kind: 'unavailable', reason: 'connection failed: ECONNREFUSED' });
  });
});

describe('a refusal', () => {
  test.each<[unknown, RevocationReason]>([
    ['Refresh token expired', 'expired'],
    ['Refresh token revoked', 'revoked'],
    ['Invalid refresh token', 'invalid'],
    ['refresh token has EXPIRED', 'expired'],
    ['Refresh token expired or revoked', 'unknown'],
    ['Your refresh token AQDcanary is unwell', 'unknown'],
    ['', 'unknown'],
    [undefined, 'unknown'],
    [null, 'unknown'],
    [{ text: 'Refresh token expired' }, 'unknown'],
  ])('of the grant: %j', async (error_description, reason) => {
    expect(await refresh(json(400, { error: 'invalid_grant', error_description }))).toEqual({
      kind: 'revoked',
      reason,
    });
  });

  test('of the grant counts only with status 400', async () => {
    const answer = await refresh(json(403, { error: 'invalid_grant' }));
    expect(answer).toEqual({ kind: 'rejected', reason: 'invalid_grant' });
  });

  test('is read whatever its coding', async () => {
    const refusal = gzipSync(
      JSON.stringify({ error: 'invalid_grant', error_description: 'Refresh token expired' }),
    );
    const respond = bytes('application/json', { 'content-encoding': 'gzip' }, refusal, 400);
    expect(await refresh(respond)).toEqual({ kind: 'revoked', reason: 'expired' });
  });

  const others: [string, Respond, string][] = [
    ['invalid_request', json(400, { error: 'invalid_request' }), 'invalid_request'],
    ['unsupported_grant_type', json(400, { error: 'unsupported_grant_type' }), 'unsupported_grant_type'],
    ['an unknown error', json(400, { error: 'server_on_holiday' }), 'server_on_holiday'],
    ['an error that is no code', json(400, { error: `token ${REFRESH_TOKEN} is odd` }), 'unknown error code'],
    ['an error of the Web API', json(403, { error: { status: 403, message: 'Forbidden' } }), 'status 403'],
    ['a page', html(404), 'status 404'],
    ['a page with the status of a refusal', html(400), 'status 400'],
    ['JSON without an error', json(418, {}), 'status 418'],
  ];
  test.each(others)('of this request: %s', async (_name, respond, reason) => {
    expect(await refresh(respond)).toEqual({ kind: 'rejected', reason });
    expect(secretsManager.reads).toBe(1);
  });
});

describe('a throttled call', () => {
  test.each([
    ['17', 17],
    ['36000', 36_000],
    ['Tue, 24 Nov 2026 12:02:00 GMT', 120],
    [undefined, 30],
    ['-5', 1],
    ['999999999', 86_400],
    ['soon', 30],
  ])('with Retry-After %p waits %p s', async (retryAfter, seconds) => {
    const headers = {
      date: 'Tue, 24 Nov 2026 12:00:00 GMT',
      ...(retryAfter && { 'retry-after': retryAfter }),
    };
    const answer = await refresh(json(429, { error: 'too_many_requests' }, headers));
    expect(answer).toEqual({ kind: 'throttled', retryAfterSeconds: seconds });
  });

  test('is one whatever its headers', async () => {
    const respond: Respond = (response) =>
      void response.socket?.write('HTTP/1.1 429 No\r\nretry-after: 1\u0000\r\ncontent-length: 0\r\n\r\n');
    expect(await refresh(respond)).toEqual({ kind: 'throttled', retryAfterSeconds: 30 });
  });

  test('is one whatever its body', async () => {
    expect(await refresh(html(429))).toEqual({ kind: 'throttled', retryAfterSeconds: 30 });
  });
});

describe('a rejected client', () => {
  const rejections: [string, Respond, string][] = [
    [
      'invalid_client',
      json(400, { error: 'invalid_client', error_description: 'Invalid client secret' }),
      'invalid_client',
    ],
    ['invalid_client with 401', json(401, { error: 'invalid_client' }), 'invalid_client'],
    ['unauthorized_client', json(400, { error: 'unauthorized_client' }), 'unauthorized_client'],
    ['a challenge', json(401, {}, { 'www-authenticate': 'Basic realm="Spotify"' }), 'status 401'],
  ];
  test.each(rejections)(
    'by %s is one when there are no newer credentials',
    async (_name, respond, reason) => {
      clock.advance(1);
      await refresh(json(200, success));
      spotify.reset();
      clock.advance(10_000);
      expect(await refresh(respond)).toEqual({ kind: 'client_rejected', reason });
      expect(secretsManager.reads).toBe(2);
      expect(spotify.requests).toHaveLength(1);
    },
  );

  test.each([
    ['invalid_client', 'client_rejected'],
    ['an_error_that_nobody_knows', 'rejected'],
    // Spotify's answer about living grants to another app's client.
    ['invalid_grant', 'revoked'],
  ])('by %s heals by itself when the secret was rotated', async (error, kind) => {
    const rotated = `Basic ${Buffer.from('5fe01282e44241328a84e7c5cc169165:rotated').toString('base64')}`;
    const respond: Respond = (response, request) =>
      request.headers.authorization === rotated
        ? json(200, success)(response, request)
        : json(400, { error })(response, request);
    expect(await refresh(respond)).toMatchObject({ kind });

    secretsManager.value = { client_id: '5fe01282e44241328a84e7c5cc169165', client_secret: 'rotated' };
    clock.advance(10_000);
    expect(await refresh(respond)).toMatchObject({ kind: 'refreshed' });
    expect(await refresh(respond)).toMatchObject({ kind: 'refreshed' });
    expect(secretsManager.reads).toBe(2);
    expect(spotify.requests).toHaveLength(4);
  });

  test('is tried with newer credentials once, and only within the timeout of the first try', async () => {
    await refresh(json(200, success));
    spotify.reset();
    secretsManager.value = { client_id: '5fe01282e44241328a84e7c5cc169165', client_secret: 'wrong-too' };
    clock.advance(10_000);
    let calls = 0;
    const timeoutMilliseconds = 2 * SHORT_TIMEOUT_MILLISECONDS;
    const rejectSlowly: Respond = (response, request) => {
      calls += 1;
      const delay = 0.7 * timeoutMilliseconds;
      setTimeout(() => json(400, { error: 'invalid_client' })(response, request), delay);
    };
    const answer = await refresh(rejectSlowly, timeoutMilliseconds);
    expect(answer).toEqual({ kind: 'unavailable', reason: 'no answer in time' });
    expect(calls).toBe(2);
  });
});

test('a refusal is passed on within its timeout where Secrets Manager does not say whether there is a newer secret', async () => {
  await refresh(json(200, success));
  secretsManager.hangs = true;
  clock.advance(10_000);
  const answer = await refresh(json(400, { error: 'invalid_grant' }), SHORT_TIMEOUT_MILLISECONDS);
  expect(answer).toEqual({ kind: 'revoked', reason: 'unknown' });
  expect(secretsManager.reads).toBe(2);
}, 5_000);

test('a secret that is read slowly leaves less time for the call, and none is begun with hardly any', async () => {
  const slow = {
    read: async () => {
      await new Promise((resolve) => setTimeout(resolve, SHORT_TIMEOUT_MILLISECONDS));
      return { client_id: 'id', client_secret: 'secret' };
    },
  } as Secret<SpotifyClient>;
  endpoint = new SpotifyTokenEndpoint(new URL('/api/token', spotify.url), slow);
  const answer = await refresh(json(200, success), SHORT_TIMEOUT_MILLISECONDS + 50);
  expect(answer).toEqual({ kind: 'unavailable', reason: 'no time left to ask' });
  expect(spotify.requests).toHaveLength(0);
});

test('an answer that changes the protocol is none, and is not waited for', async () => {
  const answer = await refresh(
    (response) =>
      void response.socket?.end(
        'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
      ),
  );
  expect(answer).toMatchObject({ kind: 'unavailable' });
});

test('credentials that cannot be read are an error, and Spotify is not called', async () => {
  secretsManager.value = { client_id: 'only the id' };
  await expect(endpoint.refresh(REFRESH_TOKEN, TIMEOUT_MILLISECONDS)).rejects.toThrow(SecretError);
  expect(spotify.requests).toHaveLength(0);
});

describe('asking about the client alone', () => {
  test('is done with newer credentials where Spotify rejects those at hand', async () => {
    const rotated = `Basic ${Buffer.from('5fe01282e44241328a84e7c5cc169165:rotated').toString('base64')}`;
    spotify.respond = (response, request) =>
      request.headers.authorization === rotated
        ? json(200, { access_token: 'own', token_type: 'Bearer', expires_in: 3_600 })(response, request)
        : json(400, { error: 'invalid_client' })(response, request);
    expect(await endpoint.checkClient(TIMEOUT_MILLISECONDS)).toMatchObject({ kind: 'client_rejected' });

    secretsManager.value = { client_id: '5fe01282e44241328a84e7c5cc169165', client_secret: 'rotated' };
    clock.advance(10_000);
    expect(await endpoint.checkClient(TIMEOUT_MILLISECONDS)).toEqual({ kind: 'accepted' });
  });

  test('sends no token of a user, and forgets the one that it is given', async () => {
    spotify.respond = json(200, { access_token: 'canary-own', token_type: 'Bearer', expires_in: 3_600 });
    expect(await endpoint.checkClient(TIMEOUT_MILLISECONDS)).toEqual({ kind: 'accepted' });
    expect([...new URLSearchParams(spotify.requests[0]?.body)]).toEqual([
      ['grant_type', 'client_credentials'],
    ]);
  });

  test.each<[Respond, ClientAnswer]>([
    [json(400, { error: 'invalid_client' }), { kind: 'client_rejected', reason: 'invalid_client' }],
    [json(400, { error: 'invalid_grant' }), { kind: 'rejected', reason: 'invalid_grant' }],
    [html(503), { kind: 'unavailable', reason: 'status 503' }],
    [html(205), { kind: 'unavailable', reason: expect.any(String) as never }],
    [
      json(200, { access_token: 'own', token_type: 'mac', expires_in: 3_600 }),
      { kind: 'unavailable', reason: 'unusable token_type in a successful answer' },
    ],
    [html(408), { kind: 'unavailable', reason: 'status 408' }],
    [
      json(400, { error: 'temporarily_unavailable' }),
      { kind: 'unavailable', reason: 'temporarily_unavailable' },
    ],
    [reset, { kind: 'unavailable', reason: expect.stringMatching(/^connection failed/) as never }],
  ])('tells what came instead (%#)', async (respond, expected) => {
    spotify.respond = respond;
    expect(await endpoint.checkClient(TIMEOUT_MILLISECONDS)).toEqual(expected);
  });
});

/** Refreshes once; whatever the answer's reason is, it never carries a token or the secret. */
async function refresh(respond: Respond, timeoutMilliseconds = TIMEOUT_MILLISECONDS): Promise<TokenAnswer> {
  spotify.respond = respond;
  const answer = await endpoint.refresh(REFRESH_TOKEN, timeoutMilliseconds);
  if ('reason' in answer) {
    expect(answer.reason).not.toMatch(/canary|a1b2c3/);
  }
  return answer;
}

function text(status: number, body: string): Respond {
  return (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}

function bytes(
  contentType: string,
  headers: Record<string, string>,
  body: string | Buffer,
  status = 200,
): Respond {
  return (response) => void response.writeHead(status, { 'content-type': contentType, ...headers }).end(body);
}

/** With headers that node's own server refuses to send. */
function raw(headers: string, body: string): Respond {
  return (response) =>
    void response.socket?.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
}

/** What does not get much shorter when it is packed. */
function noise(length: number): string {
  return Array.from({ length: length / 128 }, (_, i) => hash('sha512', `${i}`)).join('');
}

function resetAfter(body: string): Respond {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1_000 });
    response.write(body, () => setTimeout(() => response.socket?.resetAndDestroy(), 20));
  };
}

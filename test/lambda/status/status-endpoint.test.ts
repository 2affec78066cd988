import { beforeEach, describe, expect, test } from '@jest/globals';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import type { Metric } from '../../../lambda/connection/metrics.ts';
import { OperationalError } from '../../../lambda/connection/operational-error.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { AuthenticationError, UnknownKeyError } from '../../../lambda/status/authentication.ts';
import type { ConnectionStatus } from '../../../lambda/status/check-connection.ts';
import { createStatusEndpoint } from '../../../lambda/status/status-endpoint.ts';
import { RecordingLog } from '../fakes/recording-log.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const REQUEST_ID = 'api-request-id';

const details = {
  spotifyUserId: 'spotify-id',
  spotifyUserEmail: 'user@example.com',
  connectedAt: '2026-06-01T08:00:00.000Z',
  expiresAt: '2026-11-24T13:00:00.000Z',
  reauthorizeBy: '2026-12-01T08:00:00.000Z',
  secondsLeft: 3_600,
};

let clock: VirtualClock;
let log: RecordingLog;
let metrics: RecordingMetrics;
let checks: { userId: string; budgetMilliseconds: number }[];
let authenticate: (authorization: string | undefined) => Promise<string>;
let status: () => ConnectionStatus | Promise<ConnectionStatus>;

beforeEach(() => {
  clock = new VirtualClock();
  log = new RecordingLog();
  metrics = new RecordingMetrics();
  checks = [];
  authenticate = async () => USER;
  status = () => ({ kind: 'connected', details, autoRefreshed: false, degraded: false });
});

describe('an answer about the connection', () => {
  const statuses: [Metric, ConnectionStatus, object][] = [
    [
      'statusConnected',
      { kind: 'connected', details, autoRefreshed: true, degraded: false },
      { auto_refreshed: true },
    ],
    [
      'statusDegraded',
      { kind: 'connected', details, autoRefreshed: false, degraded: true },
      { degraded: true },
    ],
    ['statusNotConnected', { kind: 'not_connected' }, { connected: false }],
    [
      'statusReauthorizationRequired',
      { kind: 'reauthorization_required' },
      { connected: false, retryable: false },
    ],
    [
      'statusRefreshFailed',
      { kind: 'refresh_failed', details, retryAfterSeconds: 30, isRevoked: false },
      { retryable: true, retry_after: 30 },
    ],
  ];

  test.each(statuses)(
    'is a 200 with JSON that may not be cached, and counted: %s',
    async (metric, present, body) => {
      status = () => {
        clock.advance(70);
        return present;
      };
      const answer = await get(USER);
      expect(answer.statusCode).toBe(200);
      expect(answer.headers).toEqual({ 'content-type': 'application/json', 'cache-control': 'no-store' });
      expect(bodyOf(answer)).toMatchObject(body);
      expect(metrics.added).toEqual([{ [metric]: 1, statusLatencyMilliseconds: 70 }]);
    },
  );

  test.each([
    [{ kind: 'connected', details, autoRefreshed: true, degraded: false }, false, true],
    [{ kind: 'connected', details, autoRefreshed: false, degraded: true }, true, false],
    [{ kind: 'refresh_failed', details, retryAfterSeconds: 30, isRevoked: false }, true, false],
  ] as const)(
    'is logged with the expiry, the time left, and whether a refresh is needed or was made',
    async (present, needsRefresh, autoRefreshed) => {
      status = () => present;
      await get(USER);
      expect(log.lines).toMatchObject([
        {
          message: 'status answered',
          fields: {
            expires_at: details.expiresAt,
            seconds_left: 3_600,
            needs_refresh: needsRefresh,
            auto_refreshed: autoRefreshed,
          },
        },
      ]);
    },
  );

  test('is given for the user id in any case', async () => {
    expect(await get(USER.toUpperCase())).toMatchObject({ statusCode: 200 });
    expect(checks).toMatchObject([{ userId: USER }]);
  });

  test('takes at most the budget, and always leaves time to be sent', async () => {
    await get(USER, { remainingMilliseconds: 10_000 });
    await get(USER, { remainingMilliseconds: 3_000 });
    expect(checks.map(({ budgetMilliseconds }) => budgetMilliseconds)).toEqual([8_000, 2_500]);
  });

  test('leaves one line in the log, without e-mail and Spotify id', async () => {
    await get(USER);
    expect(log.lines).toMatchObject([
      {
        level: 'info',
        message: 'status answered',
        fields: { user_id: USER, outcome: 'connected', expires_at: details.expiresAt, seconds_left: 3_600 },
      },
    ]);
    expect(JSON.stringify(log.lines)).not.toMatch(/user@example\.com|spotify-id/);
  });
});

describe('a problem', () => {
  test.each([
    '',
    'me',
    `0${USER}`,
    `${USER}0`,
    `${USER}/`,
    '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e1g',
    "' or 1=1 --",
  ])('is answered with 400 for %p, for any user', async (userId) => {
    authenticate = () => Promise.reject(new AuthenticationError('TOKEN_MISSING', 'no bearer token'));
    expectProblem(await get(userId), 400, 'Bad Request', {});
  });

  test('is answered with 400 when the path has no user id at all', async () => {
    expectProblem(await get(undefined), 400, 'Bad Request', {});
  });

  test.each([
    ['TOKEN_MISSING', 'Please sign in: the request carries no bearer token.'],
    ['TOKEN_INVALID', 'Please sign in again: your session is not valid or has ended.'],
  ] as const)('is answered with 401 for %s', async (code, detail) => {
    authenticate = () => {
      clock.advance(70);
      return Promise.reject(new AuthenticationError(code, 'an internal reason'));
    };
    const answer = await get(USER);
    expectProblem(answer, 401, 'Unauthorized', { 'www-authenticate': 'Bearer' });
    expect(metrics.added).toEqual([{ statusRefused: 1, statusLatencyMilliseconds: 70 }]);
    expect(bodyOf(answer)['detail']).toBe(detail);
    expect(log.lines).toMatchObject([
      {
        level: 'warn',
        message: 'status refused',
        fields: { status: 401, code, reason: 'an internal reason', latency_ms: 70 },
      },
    ]);
  });

  test('is answered with 403 for another user, the same whether or not that user exists', async () => {
    authenticate = async () => '00000000-0000-4000-8000-000000000000';
    const ofSomebody = await get(USER);
    status = () => ({ kind: 'not_connected' });
    const ofNobody = await get('11111111-1111-4111-8111-111111111111');
    expectProblem(ofSomebody, 403, 'Forbidden', {});
    expect(ofNobody).toEqual(ofSomebody);
    expect(checks).toEqual([]);
  });

  test.each([
    new StoreError('STORE_UNAVAILABLE', 'Supabase is down'),
    new StoreError('MIGRATION_MISSING', 'apply the migrations'),
    new StoreError('KEY_REJECTED', 'write the key'),
    new StoreError('SCHEMA_NOT_EXPOSED', 'expose the schema'),
    new StoreError('PROFILES_HIDDEN', 'alter the table'),
    new StoreError('STORE_REFUSED', 'refused'),
    new SecretError('SECRET_NOT_FILLED_IN', 'run aws secretsmanager'),
    new SecretError('SECRET_MALFORMED', 'is not JSON'),
    new SecretError('SECRET_UNREADABLE', 'AccessDenied'),
  ])('is answered with 503 for $code', async (outage) => {
    status = () => {
      throw outage;
    };
    const answer = await get(USER);
    expectProblem(answer, 503, 'Service Unavailable', { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) });
    expect(answer.body).not.toContain(outage.message);
    expect(metrics.added).toMatchObject([{ statusUnavailable: 1 }]);
    expect(bodyOf(answer)).not.toHaveProperty('connected');
    expect(log.lines).toMatchObject([
      { level: 'error', fields: { status: 503, code: outage.code, reason: outage.message } },
    ]);
  });

  test('is answered with 503 when the keys that verify tokens are out of reach', async () => {
    authenticate = () => Promise.reject(new OperationalError('KEY_SET_UNAVAILABLE', 'status 502'));
    expectProblem(await get(USER), 503, 'Service Unavailable', { 'retry-after': '10' });
    expect(metrics.added).toMatchObject([{ statusUnavailable: 1 }]);
  });

  test('is answered with 503 for a key that may be new, which is no outage: anyone can make one up', async () => {
    authenticate = () => Promise.reject(new UnknownKeyError({}));
    expectProblem(await get(USER), 503, 'Service Unavailable', { 'retry-after': '10' });
    expect(metrics.added).toMatchObject([{ statusKeyUnknown: 1 }]);
    expect(log.lines).toMatchObject([
      { level: 'warn', fields: { status: 503, code: 'SIGNING_KEY_UNKNOWN' } },
    ]);
  });
});

test('an answer that is not ready when Lambda is about to end the invocation is a 503', async () => {
  status = () => new Promise(() => {});
  const answer = await get(USER, { remainingMilliseconds: 210 });
  expectProblem(answer, 503, 'Service Unavailable', { 'retry-after': '10' });
  expect(log.lines).toMatchObject([{ level: 'error', fields: { status: 503, code: 'OUT_OF_TIME' } }]);
  expect(metrics.added).toMatchObject([{ statusUnavailable: 1 }]);
});

test('the Authorization header is what the token is taken from', async () => {
  const seen: (string | undefined)[] = [];
  authenticate = async (authorization) => {
    seen.push(authorization);
    return USER;
  };
  await get(USER, { headers: { authorization: 'Bearer abc' } });
  await get(USER);
  expect(seen).toEqual(['Bearer abc', undefined]);
});

test('a defect in our code leaves as an error, for the gateway to answer', async () => {
  const defect = new RangeError('a defect');
  status = () => {
    throw defect;
  };
  await expect(get(USER)).rejects.toBe(defect);
});

async function get(
  userId: string | undefined,
  options: { headers?: Record<string, string>; remainingMilliseconds?: number } = {},
): Promise<APIGatewayProxyStructuredResultV2> {
  const handler = createStatusEndpoint({
    authenticate: (authorization) => authenticate(authorization),
    checkConnection: async (id, deadline) => {
      checks.push({ userId: id, budgetMilliseconds: deadline - clock.monotonicMilliseconds() });
      return status();
    },
    clock,
    log,
    metrics,
    budgetMilliseconds: 8_000,
  });
  const event = {
    version: '2.0',
    headers: options.headers ?? {},
    requestContext: { requestId: REQUEST_ID },
    ...(userId !== undefined && { pathParameters: { user_id: userId } }),
  } as unknown as APIGatewayProxyEventV2;
  const context = { getRemainingTimeInMillis: () => options.remainingMilliseconds ?? 10_000 } as Context;
  return (await handler(event, context)) as APIGatewayProxyStructuredResultV2;
}

function bodyOf(answer: APIGatewayProxyStructuredResultV2): Record<string, unknown> {
  return JSON.parse(answer.body ?? '');
}

function expectProblem(
  answer: APIGatewayProxyStructuredResultV2,
  statusCode: number,
  title: string,
  headers: Record<string, unknown>,
): void {
  expect(answer.statusCode).toBe(statusCode);
  expect(answer.headers).toEqual({
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    ...headers,
  });
  expect(bodyOf(answer)).toEqual({
    type: 'about:blank',
    title,
    status: statusCode,
    detail: expect.stringMatching(/^[A-Z].*\.$/),
    instance: REQUEST_ID,
  });
}

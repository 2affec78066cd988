import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Secret, SUPABASE_CREDENTIALS } from '../../../lambda/adapters/secret.ts';
import { SupabaseConnectionStore } from '../../../lambda/adapters/supabase-connection-store.ts';
import { SupabaseFunctions } from '../../../lambda/adapters/supabase-functions.ts';
import { StoreError, type StoreErrorCode } from '../../../lambda/connection/connection-store.ts';
import type { RefreshOutcome } from '../../../lambda/connection/refresh-outcome.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { FakeHttpServer, hang, html, json, type Respond, reset } from '../fakes/http-server.ts';
import { aLease } from '../fakes/leases.ts';
import { RecordingMetrics } from '../fakes/recording-metrics.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const LEASE = '0d9c6cf6-55a5-4f1f-9c0b-1f0b7e4f7a10';
const TIMEOUT_MILLISECONDS = 5_000;

const details = {
  spotify_user_id: 'spotify-id',
  spotify_user_email: 'user@example.com',
  connected_at: '2026-06-01T08:00:00+00:00',
  expires_at: '2026-11-24T12:03:00.123456+00:00',
  reauthorize_by: '2026-12-01T08:00:00+00:00',
  seconds_left: 180.5,
};
const detailsRead = {
  spotifyUserId: 'spotify-id',
  spotifyUserEmail: 'user@example.com',
  connectedAt: '2026-06-01T08:00:00.000Z',
  expiresAt: '2026-11-24T12:03:00.123Z',
  reauthorizeBy: '2026-12-01T08:00:00.000Z',
  secondsLeft: 180.5,
};
const leaseRow = {
  user_id: USER,
  lease_id: LEASE,
  leased_at: '2026-11-24T12:00:00.123456+00:00',
  refresh_token: 'AQDcanary-refresh-token',
  seconds_left: 180.5,
  failures: 2,
};

let supabase: FakeHttpServer;
let secretsManager: FakeSecretsManager;
let clock: VirtualClock;
let metrics: RecordingMetrics;
let store: SupabaseConnectionStore;

beforeAll(async () => {
  supabase = await FakeHttpServer.start();
});
afterAll(() => supabase.stop());

beforeEach(() => {
  supabase.reset();
  secretsManager = new FakeSecretsManager({ secret_key: 'sb_secret_1' });
  clock = new VirtualClock();
  metrics = new RecordingMetrics();
  store = storeAt(supabase.url);
});

describe('checking a connection', () => {
  test('reads that there is none', async () => {
    expect(await check({ state: 'disconnected' })).toEqual({ state: 'disconnected' });
  });

  test('is one call, with the durations as intervals and the secret key', async () => {
    await check({ state: 'disconnected' });
    expect(supabase.requests).toMatchObject([
      {
        method: 'POST',
        path: '/rest/v1/rpc/spotify_check_connection',
        headers: {
          apikey: 'sb_secret_1',
          accept: 'application/json',
          'content-type': 'application/json',
          // Without it PostgREST takes the schema that is exposed first.
          'content-profile': 'public',
        },
      },
    ]);
    expect(sentParameters()).toEqual({ for_user: USER, refresh_within: '300 seconds', lease: '15 seconds' });
  });

  test('sends a secret key as apikey alone, and a legacy JWT key as bearer token too', async () => {
    await check({ state: 'disconnected' });
    expect(supabase.requests[0]?.headers).not.toHaveProperty('authorization');

    secretsManager = new FakeSecretsManager({ secret_key: 'eyJhbGciOiJIUzI1NiJ9.e30.x' });
    store = storeAt(supabase.url);
    await check({ state: 'disconnected' });
    expect(supabase.requests[1]?.headers).toMatchObject({
      apikey: 'eyJhbGciOiJIUzI1NiJ9.e30.x',
      authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x',
    });
  });

  test.each(['connected', 'reauthorization_required'])('reads the state %s', async (state) => {
    expect(await check({ state, ...details, retry_in: null, lease: null })).toEqual({
      state,
      details: detailsRead,
    });
  });

  test.each(['busy', 'backing_off'])('reads the state %s', async (state) => {
    expect(await check({ state, ...details, retry_in: 12.5, revoked: true, lease: null })).toEqual({
      state,
      details: detailsRead,
      retryInSeconds: 12.5,
      isRevoked: true,
    });
    expect(await check({ state, ...details, revoked: false, retry_in: null })).toMatchObject({
      retryInSeconds: 0,
    });
  });

  test('reads a lease, which lapses no later than the database thinks', async () => {
    const askedAt = clock.monotonicMilliseconds();
    supabase.respond = (response, request) => {
      clock.advance(1_000);
      json(200, { state: 'leased', ...details, retry_in: 15, lease: leaseRow })(response, request);
    };
    expect(await store.check(USER, 300, 15, TIMEOUT_MILLISECONDS)).toEqual({
      state: 'leased',
      details: detailsRead,
      lease: {
        userId: USER,
        leaseId: LEASE,
        leasedAt: '2026-11-24T12:00:00.123456+00:00',
        refreshToken: 'AQDcanary-refresh-token',
        secondsLeft: 180.5,
        failures: 2,
        lapsesAt: askedAt + 15_000,
      },
    });
  });

  test('takes a locked profile for busy, not for disconnected', async () => {
    expect(await check({ state: 'locked' })).toEqual({
      state: 'busy',
      details: null,
      retryInSeconds: 0,
      isRevoked: false,
    });
  });

  test('reads nulls where old rows have none', async () => {
    const unknown = {
      spotify_user_email: null,
      connected_at: null,
      expires_at: null,
      reauthorize_by: null,
      seconds_left: null,
    };
    expect(await check({ state: 'connected', ...details, ...unknown })).toMatchObject({
      details: {
        spotifyUserEmail: null,
        connectedAt: null,
        expiresAt: null,
        reauthorizeBy: null,
        secondsLeft: null,
      },
    });
  });
});

describe('claiming', () => {
  const request = {
    batchSize: 500,
    refreshWithinSeconds: 2_400,
    leaseSeconds: 632,
    callsPerSecond: null,
    dueFrom: '2026-11-26T12:00:00+00:00',
    sweepAgeSeconds: 1.25,
  };

  test('sends the request and reads the leases and when to come back', async () => {
    const lapsesAt = clock.monotonicMilliseconds() + 632_000;
    supabase.respond = json(200, {
      claims: [leaseRow, { ...leaseRow, seconds_left: null }],
      due_up_to: '2026-11-26T12:05:00+00:00',
      next_claim_in: 12.5,
      calls_start_in: 2.5,
      not_before_in: null,
    });
    expect(await store.claimDue(request, TIMEOUT_MILLISECONDS)).toMatchObject({
      leases: [
        { userId: USER, leaseId: LEASE, lapsesAt },
        { secondsLeft: null, lapsesAt },
      ],
      nextClaimInSeconds: 12.5,
      callsStartInSeconds: 2.5,
      dueUpTo: '2026-11-26T12:05:00+00:00',
      notBeforeInSeconds: null,
    });
    expect(sentParameters()).toEqual({
      batch_size: 500,
      refresh_within: '2400 seconds',
      lease: '632 seconds',
      sweep_age: '1.25 seconds',
      calls_per_second: null,
      due_from: '2026-11-26T12:00:00+00:00',
    });
  });

  test('writes durations so that Postgres can read them, however short', async () => {
    supabase.respond = json(200, {
      claims: [],
      due_up_to: null,
      next_claim_in: null,
      calls_start_in: 0,
      not_before_in: null,
    });
    await store.claimDue({ ...request, sweepAgeSeconds: 8.4e-7 }, TIMEOUT_MILLISECONDS);
    expect(sentParameters()).toMatchObject({ sweep_age: '0 seconds' });
  });

  test('tells the ceiling on calls', async () => {
    supabase.respond = json(200, {
      claims: [],
      due_up_to: null,
      next_claim_in: null,
      calls_start_in: 0,
      not_before_in: null,
    });
    await store.claimDue({ ...request, callsPerSecond: 250 }, TIMEOUT_MILLISECONDS);
    expect(sentParameters()).toMatchObject({ calls_per_second: 250 });
  });

  test('reads that nothing may be claimed', async () => {
    supabase.respond = json(200, {
      claims: [],
      due_up_to: null,
      next_claim_in: null,
      calls_start_in: 0,
      not_before_in: 30,
    });
    expect(await store.claimDue(request, TIMEOUT_MILLISECONDS)).toEqual({
      leases: [],
      nextClaimInSeconds: null,
      callsStartInSeconds: 0,
      dueUpTo: null,
      notBeforeInSeconds: 30,
    });
  });
});

describe('recording', () => {
  const outcomes: [RefreshOutcome, object][] = [
    [
      { kind: 'refreshed', accessToken: 'BQC', refreshToken: 'AQDnew', expiresInSeconds: 3_600 },
      {
        outcome: 'refreshed',
        used_refresh_token: 'AQDold',
        access_token: 'BQC',
        refresh_token: 'AQDnew',
        expires_in: 3_600,
      },
    ],
    [
      { kind: 'refreshed', accessToken: 'BQC', expiresInSeconds: 3_600 },
      { outcome: 'refreshed', used_refresh_token: 'AQDold', access_token: 'BQC', expires_in: 3_600 },
    ],
    [
      { kind: 'refresh_token_only', refreshToken: 'AQDnew', retryAfterSeconds: 45 },
      {
        outcome: 'refresh_token_only',
        used_refresh_token: 'AQDold',
        refresh_token: 'AQDnew',
        retry_after: 45,
      },
    ],
    [
      { kind: 'revoked', reason: 'expired', retryAfterSeconds: 45 },
      { outcome: 'revoked', reason: 'expired', used_refresh_token: 'AQDold', retry_after: 45 },
    ],
    [
      { kind: 'throttled', retryAfterSeconds: 60 },
      { outcome: 'throttled', retry_after: 60 },
    ],
    [
      { kind: 'unavailable', retryAfterSeconds: 22.5 },
      { outcome: 'unavailable', retry_after: 22.5 },
    ],
    [
      { kind: 'rejected', retryAfterSeconds: 22.5 },
      { outcome: 'rejected', retry_after: 22.5 },
    ],
    [{ kind: 'client_rejected' }, { outcome: 'client_rejected' }],
    [{ kind: 'released' }, { outcome: 'released' }],
  ];
  test.each(outcomes)('%j sends what the database needs, and no more', async (outcome, sent) => {
    supabase.respond = json(200, { verdicts: [], not_before_in: null, breaker_is_open: false });
    const lease = aLease({ refreshToken: 'AQDold' });
    await store.record([{ lease, outcome }], TIMEOUT_MILLISECONDS);
    expect(sentParameters()).toEqual({
      results: [{ user_id: lease.userId, lease_id: lease.leaseId, leased_at: lease.leasedAt, ...sent }],
    });
    expect(supabase.requests[0]?.path).toBe('/rest/v1/rpc/spotify_record');
  });

  test('reads a verdict for each lease, and what holds for everybody', async () => {
    const verdicts = ['applied', 'held', 'confirmed', 'already_applied', 'stale', 'busy'];
    const rows = verdicts.map((verdict, index) => ({ user_id: USER, lease_id: `lease-${index}`, verdict }));
    supabase.respond = json(200, { verdicts: rows, not_before_in: 12.5, breaker_is_open: true });
    expect(await store.record([], TIMEOUT_MILLISECONDS)).toEqual({
      verdicts: new Map(verdicts.map((verdict, index) => [`lease-${index}`, verdict])),
      refusals: [],
      notBeforeInSeconds: 12.5,
      breakerIsOpen: true,
    });
  });

  test('reads what the profile of a user refuses', async () => {
    const refused = { user_id: USER, lease_id: LEASE, verdict: 'refused' };
    supabase.respond = json(200, {
      verdicts: [
        { ...refused, code: '23514', constraint: 'no_long_tokens' },
        { ...refused, code: 'P0001', constraint: null },
      ],
      not_before_in: null,
      breaker_is_open: false,
    });
    expect(await store.record([], TIMEOUT_MILLISECONDS)).toMatchObject({
      verdicts: new Map([[LEASE, 'refused']]),
      refusals: [
        { userId: USER, code: '23514', constraint: 'no_long_tokens' },
        { userId: USER, code: 'P0001', constraint: null },
      ],
    });
  });
});

test('counting, reconciling and clearing send their parameters and read their answers', async () => {
  supabase.respond = json(200, 1_234);
  expect(await store.countDue(2_400, TIMEOUT_MILLISECONDS)).toBe(1_234);
  expect(sentParameters()).toEqual({ refresh_within: '2400 seconds' });

  supabase.respond = json(200, { healed: 3, done: true });
  expect(await store.reconcile(5_000, TIMEOUT_MILLISECONDS)).toEqual({ healed: 3, done: true });
  expect(sentParameters()).toEqual({ batch_size: 5_000 });

  supabase.respond = json(200, {
    cleared: 7,
    refused: [{ user_id: USER, code: '23502', constraint: null }],
    done: false,
  });
  expect(await store.clearDeadGrants(604_800, 500, TIMEOUT_MILLISECONDS)).toEqual({
    cleared: 7,
    refusals: [{ userId: USER, code: '23502', constraint: null }],
    done: false,
  });
  expect(sentParameters()).toEqual({ grace: '604800 seconds', batch_size: 500 });
  expect(supabase.requests.map(({ path }) => path)).toEqual([
    '/rest/v1/rpc/spotify_due_count',
    '/rest/v1/rpc/spotify_reconcile',
    '/rest/v1/rpc/spotify_clear_dead_grants',
  ]);
});

describe('a call that fails is', () => {
  const failures: [StoreErrorCode, string, Respond][] = [
    ['MIGRATION_MISSING', 'an unknown function', postgrest(404, 'PGRST202')],
    ['MIGRATION_MISSING', 'a function missing inside', postgrest(404, '42883')],
    ['SCHEMA_NOT_EXPOSED', 'a schema that is not exposed', postgrest(406, 'PGRST106')],
    ['PROFILES_HIDDEN', 'profiles that row level security hides', postgrest(530, 'PT530')],
    ['STORE_UNAVAILABLE', 'a gateway that does not find its server', html(530)],
    ['STORE_REFUSED', 'a path that is not of the REST API', postgrest(404, 'PGRST125')],
    ['KEY_REJECTED', 'a wrong key', json(401, { message: 'Invalid API key' })],
    ['KEY_REJECTED', 'a key that a gateway forbids', json(403, { message: 'Forbidden' })],
    ['KEY_REJECTED', 'an expired legacy key', postgrest(401, 'PGRST301')],
    ['KEY_REJECTED', 'a key without the right', postgrest(403, '42501')],
    ['STORE_UNAVAILABLE', 'a statement timeout', postgrest(500, '57014')],
    ['STORE_UNAVAILABLE', 'an internal error', postgrest(500, 'XX000')],
    ['STORE_UNAVAILABLE', 'a deadlock', postgrest(500, '40P01')],
    ['STORE_UNAVAILABLE', 'a serialization failure', postgrest(409, '40001')],
    ['STORE_UNAVAILABLE', 'a lock timeout', postgrest(400, '55P03')],
    ['STORE_UNAVAILABLE', 'a read-only database', postgrest(405, '25006')],
    ['STORE_UNAVAILABLE', 'too many connections', postgrest(503, '53300')],
    ['STORE_UNAVAILABLE', 'a lost database', postgrest(503, 'PGRST001')],
    ['STORE_UNAVAILABLE', 'a full pool', postgrest(504, 'PGRST003')],
    ['STORE_UNAVAILABLE', 'a paused project', html(540)],
    ['STORE_UNAVAILABLE', 'throttling', json(429, { message: 'slow down' })],
    ['STORE_UNAVAILABLE', 'a page of a proxy', html(502)],
    ['STORE_UNAVAILABLE', 'a page with status 200', html(200)],
    ['STORE_UNAVAILABLE', 'a reset', reset],
    [
      'STORE_UNAVAILABLE',
      'a refusal that breaks off',
      (response) => {
        response.writeHead(401, { 'content-length': 1_000 });
        response.write('{"code":"PGRST202"}', () => response.socket?.destroy());
      },
    ],
    ['STORE_REFUSED', 'an invalid parameter', postgrest(400, '22023')],
    ['STORE_REFUSED', 'a broken constraint', postgrest(409, '23505')],
    ['STORE_REFUSED', 'an unknown route', json(404, { message: 'no Route matched with those values' })],
    ['STORE_ANSWER_UNEXPECTED', 'an empty answer', (response) => void response.writeHead(200).end()],
    ['STORE_ANSWER_UNEXPECTED', 'no content', (response) => void response.writeHead(204).end()],
    ['STORE_ANSWER_UNEXPECTED', 'something unexpected', json(200, { state: 'fine' })],
    ['STORE_ANSWER_UNEXPECTED', 'a state without its details', json(200, { state: 'connected' })],
    [
      'STORE_ANSWER_UNEXPECTED',
      'a lease without its token',
      json(200, { state: 'leased', ...details, lease: { lease_id: LEASE } }),
    ],
    [
      'STORE_ANSWER_UNEXPECTED',
      'a time that is none',
      json(200, { state: 'connected', ...details, expires_at: 'infinity' }),
    ],
  ];
  test.each(failures)('%s when it meets %s', async (code, _name, respond) => {
    supabase.respond = respond;
    const error = await failureOf(store.check(USER, 300, 15, TIMEOUT_MILLISECONDS));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^spotify_check_connection/);
    expect(error.message).not.toMatch(/canary|sb_secret|example\.com/);
    expect(supabase.requests).toHaveLength(1);
    expect(metrics.added).toEqual(code === 'KEY_REJECTED' ? [{ supabaseKeyRejected: 1 }] : []);
  });

  test.each<[Respond, RegExp]>([
    [postgrest(404, 'PGRST202'), /apply migrations .* right after .* notify pgrst, 'reload schema'/],
    [postgrest(404, '42883'), /apply migrations/],
    [postgrest(406, 'PGRST106'), /does not expose the schema public: .*exposed schemas/],
    [postgrest(404, 'PGRST125'), /supabaseUrl/],
    [postgrest(530, 'PT530'), /alter table public\.profiles no force row level security, .* bypassrls/],
  ])('told with what to do about it (%#)', async (respond, advice) => {
    supabase.respond = respond;
    expect((await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS))).message).toMatch(advice);
  });

  test('STORE_UNAVAILABLE when there is no server', async () => {
    const gone = await FakeHttpServer.start();
    await gone.stop();
    expect((await failureOf(storeAt(gone.url).countDue(300, TIMEOUT_MILLISECONDS))).code).toBe(
      'STORE_UNAVAILABLE',
    );
  });

  test('STORE_UNAVAILABLE when it meets silence', async () => {
    supabase.respond = hang;
    expect((await failureOf(store.countDue(300, 200))).code).toBe('STORE_UNAVAILABLE');
  });

  test('STORE_UNAVAILABLE when there is no time left', async () => {
    const late = await FakeHttpServer.start();
    expect((await failureOf(storeAt(late.url).countDue(300, 0))).code).toBe('STORE_UNAVAILABLE');
    await late.stop();
  });

  test('STORE_UNAVAILABLE, and not made, when there is hardly time for an answer', async () => {
    supabase.respond = json(200, 5);
    expect((await failureOf(store.countDue(300, 15))).code).toBe('STORE_UNAVAILABLE');
    expect(supabase.requests).toHaveLength(0);
  });

  test('the error of the secret when that cannot be read', async () => {
    secretsManager.value = {};
    await expect(store.countDue(300, TIMEOUT_MILLISECONDS)).rejects.toThrow(SecretError);
    expect(supabase.requests).toHaveLength(0);
  });
});

describe('a rejected key', () => {
  const accepting =
    (key: string): Respond =>
    (response, request) =>
      request.headers['apikey'] === key
        ? json(200, 5)(response, request)
        : json(401, { message: 'Invalid API key' })(response, request);

  test('is renewed once and the call repeated, and the new key is kept', async () => {
    supabase.respond = json(200, 5);
    await store.countDue(300, TIMEOUT_MILLISECONDS);
    secretsManager.value = { secret_key: 'sb_secret_2' };
    supabase.respond = accepting('sb_secret_2');
    clock.advance(10_000);

    expect(await store.countDue(300, TIMEOUT_MILLISECONDS)).toBe(5);
    expect(await store.countDue(300, TIMEOUT_MILLISECONDS)).toBe(5);
    expect(supabase.requests.map(({ headers }) => headers['apikey'])).toEqual([
      'sb_secret_1',
      'sb_secret_1',
      'sb_secret_2',
      'sb_secret_2',
    ]);
    expect(secretsManager.reads).toBe(2);
  });

  test('is the one failure that has the secret read again', async () => {
    supabase.respond = json(200, 5);
    await store.countDue(300, TIMEOUT_MILLISECONDS);
    clock.advance(10_000);
    supabase.respond = html(502);
    await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS));
    expect(secretsManager.reads).toBe(1);
  });

  test('that no client library takes is an error of the secret, and heals by itself', async () => {
    supabase.respond = accepting('sb_secret_2');
    secretsManager.value = { secret_key: 'sb_secret_2\u200b' };
    await expect(store.countDue(300, TIMEOUT_MILLISECONDS)).rejects.toMatchObject({
      code: 'SECRET_MALFORMED',
    });
    secretsManager.value = { secret_key: 'sb_secret_2' };
    clock.advance(10_000);
    expect(await store.countDue(300, TIMEOUT_MILLISECONDS)).toBe(5);
  });

  test('is an error when there is no newer one', async () => {
    supabase.respond = accepting('sb_secret_2');
    await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS));
    clock.advance(10_000);
    expect((await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS))).code).toBe('KEY_REJECTED');
    expect(secretsManager.reads).toBe(2);
    expect(supabase.requests).toHaveLength(2);
  });

  test('is an error when the newer one is rejected too', async () => {
    supabase.respond = accepting('sb_secret_3');
    await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS));
    secretsManager.value = { secret_key: 'sb_secret_2' };
    clock.advance(10_000);
    expect((await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS))).code).toBe('KEY_REJECTED');
    expect(supabase.requests).toHaveLength(3);
  });

  test('is counted when no newer one helps', async () => {
    supabase.respond = accepting('sb_secret_1');
    await store.countDue(300, TIMEOUT_MILLISECONDS);
    expect(metrics.added).toEqual([]);
    supabase.respond = accepting('sb_secret_2');
    await failureOf(store.countDue(300, TIMEOUT_MILLISECONDS));
    expect(metrics.added).toEqual([{ supabaseKeyRejected: 1 }]);
  });
});

function storeAt(url: URL): SupabaseConnectionStore {
  const secret = new Secret(secretsManager.reader, 'arn', SUPABASE_CREDENTIALS, clock);
  return new SupabaseConnectionStore(new SupabaseFunctions(url, secret, metrics), clock);
}

async function check(row: object) {
  supabase.respond = json(200, row);
  return store.check(USER, 300, 15, TIMEOUT_MILLISECONDS);
}

function sentParameters(): unknown {
  return JSON.parse(supabase.requests.at(-1)?.body ?? '');
}

/** An error as PostgREST spells it; its message and details quote values. */
function postgrest(status: number, code: string): Respond {
  return json(status, {
    code,
    message: 'failed on AQDcanary-refresh-token',
    details: 'user@example.com',
    hint: null,
  });
}

async function failureOf(call: Promise<unknown>): Promise<StoreError> {
  const error: unknown = await call.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(StoreError);
  return error as StoreError;
}

import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createClient } from '@supabase/supabase-js';
import * as v from 'valibot';
import { Secret, SUPABASE_CREDENTIALS } from '../../../lambda/adapters/secret.ts';
import { SupabaseAdministration } from '../../../lambda/adapters/supabase-administration.ts';
import { SupabaseConnectionStore } from '../../../lambda/adapters/supabase-connection-store.ts';
import { SupabaseEventStore } from '../../../lambda/adapters/supabase-event-store.ts';
import { SupabaseFunctions } from '../../../lambda/adapters/supabase-functions.ts';
import type { Lease } from '../../../lambda/connection/lease.ts';
import { type Supabase, startSupabase } from '../../../stand-ins/supabase/server.ts';
import { FakeSecretsManager } from '../../lambda/fakes/fake-secrets-manager.ts';
import { RecordingMetrics } from '../../lambda/fakes/recording-metrics.ts';
import { VirtualClock } from '../../lambda/fakes/virtual-clock.ts';
import { ownToken, TestDatabase, tokenOf } from '../../supabase/database.ts';
import { hasPostgrest, type Postgrest, startPostgrest } from './postgrest.ts';

const TIMEOUT_MILLISECONDS = 20_000;
const FUNCTIONS = `
  create function public.echo(value jsonb) returns jsonb language sql as 'select value';
  create function public.add(a int, b int default 40) returns int language sql as 'select a + b';
  create function public.count_up(until int) returns table (n int, at timestamptz) language sql
    as $$ select i, timestamptz '2026-01-31T12:00:00Z' from generate_series(1, until) i $$;
  create function public.count_up_in_one(until int) returns jsonb language sql
    as 'select jsonb_agg(i) from generate_series(1, until) i';
  create function public.who_am_i() returns text language sql as 'select current_user::text';
  create function public.which_timeout() returns text language sql as $$ select current_setting('statement_timeout') $$;
  create function public.nothing() returns void language sql as '';
  create function public.fail(state text) returns void language plpgsql
    as $$ begin raise exception 'failed on purpose' using errcode = state, detail = 'on request', hint = 'do not'; end $$;
  create function public.dawdle() returns void language sql set statement_timeout = '50ms' as 'select pg_sleep(5)';
  create function public.guarded() returns int language sql as 'select 1';
  revoke execute on function public.guarded() from public;
  alter table public.profiles add constraint bondhus_own check (spotify_access_token <> 'refuse me');`;

/** What PostgREST makes of the SQLSTATE of an exception: of those that our functions can meet, and one of each class. */
const STATUSES: Readonly<Record<string, number>> = {
  '08000': 503,
  '09000': 500,
  '0L000': 403,
  '0P000': 403,
  '22023': 400,
  '23502': 400,
  '23503': 409,
  '23505': 409,
  '23514': 400,
  '25006': 405,
  '25P02': 500,
  '28000': 403,
  '2D000': 500,
  '38000': 500,
  '39000': 500,
  '3B000': 500,
  '40P01': 500,
  '42501': 403,
  '42883': 404,
  '42P01': 404,
  '53300': 503,
  '54000': 413,
  '55P03': 500,
  '57014': 500,
  '57P01': 503,
  '58000': 500,
  '99999': 400,
  F0000: 500,
  HV000: 500,
  P0001: 400,
  P0002: 500,
  PT409: 409,
  PT530: 530,
  XX000: 500,
};

/** What is reached at an address: PostgREST, or what stands in for it. */
interface Server {
  readonly url: string;
  /** @param isAway true: every request is answered with a page of HTML, status 502 */
  setAway(isAway: boolean): void | Promise<void>;
}

let database: TestDatabase;
let supabase: Supabase;
let postgrest: Postgrest | undefined;

beforeAll(async () => {
  // @supabase/lite prints every error that it answers with.
  jest.spyOn(console, 'error').mockImplementation(() => {});
  database = await TestDatabase.start();
  await database.owner(FUNCTIONS);
  supabase = await startSupabase({ database: database.urls });
  postgrest = hasPostgrest ? await startPostgrest(database.urls, supabase) : undefined;
});
afterAll(async () => {
  await postgrest?.stop();
  await supabase?.stop();
  await database.stop();
});
// Not by truncating, which the tables of Supabase Auth forbid.
beforeEach(async () => {
  await database.owner('delete from auth.users');
  await database.populate(1_000_000, 1_000_000);
});

function findStandIn(): Server {
  const setAway = (isAway: boolean) =>
    supabase.setFault(isAway ? { kind: 'status', status: 502 } : undefined);
  return { url: supabase.url, setAway };
}

function findPostgrest(): Postgrest {
  if (postgrest === undefined) throw new Error('PostgREST is not there');
  return postgrest;
}

const servers: [string, () => Server][] = hasPostgrest
  ? [
      ['the stand-in', findStandIn],
      ['PostgREST', findPostgrest],
    ]
  : [[`the stand-in (alone: there is no PostgREST for ${process.platform}-${process.arch})`, findStandIn]];

describe.each(servers)('%s', (_, find) => {
  let server: Server;

  beforeAll(() => {
    server = find();
  });

  describe('a function', () => {
    test('takes a jsonb array and gives it back unchanged', async () => {
      const value = [{ user: 'a', seconds: 12.5, note: 'quote " and \\ and ü', nested: [null, true] }, {}];
      expect(await post('echo', { value })).toMatchObject({ status: 200, body: value });
    });

    test.each([
      { call: 'add', values: { a: 2 }, body: 42, range: '0-0/*' },
      { call: 'count_up', values: { until: 2 }, body: [row(1), row(2)], range: '0-1/*' },
      { call: 'count_up', values: { until: 0 }, body: [], range: '*/*' },
    ])('answers $call with $values', async ({ call, values, body, range }) => {
      const answer = await post(call, values);
      expect(answer).toMatchObject({ status: 200, body });
      expect(headersOf(answer)).toEqual({
        type: 'application/json; charset=utf-8',
        range,
        profile: null,
        authenticate: null,
      });
    });

    test('answers with one row when that is what is asked for', async () => {
      const headers = { accept: 'application/vnd.pgrst.object+json' };
      const one = await post('count_up', { until: 1 }, headers);
      expect(one).toMatchObject({ status: 200, body: row(1) });
      expect(headersOf(one).type).toBe('application/vnd.pgrst.object+json; charset=utf-8');
      expect(await post('count_up', { until: 2 }, headers)).toMatchObject({
        status: 406,
        body: { code: 'PGRST116', details: 'The result contains 2 rows' },
      });
    });

    test('answers with nothing', async () => {
      const answer = await post('nothing');
      expect(answer).toMatchObject({ status: 204, body: null });
      expect(headersOf(answer)).toMatchObject({ type: null, range: '0-0/*' });
    });

    test('has rows beyond the thousandth cut off without a word, but not a document', async () => {
      expect((await post('count_up', { until: 1_500 })).body).toHaveLength(1_000);
      expect((await post('count_up_in_one', { until: 1_500 })).body).toHaveLength(1_500);
    });

    test('runs under the statement timeout of its role', async () => {
      expect((await post('which_timeout')).body).toBe('8s');
      expect((await post('which_timeout', {}, { apikey: supabase.publishableKey })).body).toBe('3s');
    });

    test.each<[string, string, object, number, string]>([
      ['an unknown function', 'no_such', {}, 404, 'PGRST202'],
      ['a wrong argument', 'add', { a: 1, c: 1 }, 404, 'PGRST202'],
      ['a missing argument', 'add', { b: 1 }, 404, 'PGRST202'],
      ['a value of the wrong type', 'add', { a: 'one' }, 400, '22P02'],
      ['a statement timeout', 'dawdle', {}, 500, '57014'],
      ...Object.entries(STATUSES).map(([state, status]): [string, string, object, number, string] => [
        `SQLSTATE ${state}`,
        'fail',
        { state },
        status,
        state,
      ]),
    ])('reports %s', async (_, name, values, status, code) => {
      const answer = await post(name, values);
      expect(answer).toMatchObject({ status, body: { code, message: expect.any(String) } });
      expect(Object.keys(answer.body as object).sort()).toEqual(['code', 'details', 'hint', 'message']);
      expect(headersOf(answer)).toMatchObject({ type: 'application/json; charset=utf-8', range: null });
      expect(answer.headers.get('retry-after')).toBe(status === 503 ? '0' : null);
    });

    test('reports a body that is no JSON', async () => {
      expect(await post('add', '{"a":')).toMatchObject({ status: 400, body: { code: 'PGRST102' } });
    });

    test('passes on what an exception says', async () => {
      const { body } = await post('fail', { state: 'P0001' });
      expect(body).toEqual({
        code: 'P0001',
        details: 'on request',
        hint: 'do not',
        message: 'failed on purpose',
      });
    });
  });

  describe('a schema', () => {
    test('that is exposed may be named, and is named again', async () => {
      const answer = await post('who_am_i', {}, { 'content-profile': 'public' });
      expect(answer.status).toBe(200);
      expect(headersOf(answer).profile).toBe('public');
    });

    test('that is hidden is refused', async () => {
      const answer = await post('who_am_i', {}, { 'content-profile': 'spotify_auth' });
      expect(answer).toMatchObject({ status: 406, body: { code: 'PGRST106' } });
    });
  });

  describe('a key or token', () => {
    test('brings its role', async () => {
      const as = async (headers: Record<string, string>) => (await post('who_am_i', {}, headers)).body;
      const bearer = async (algorithm: 'ES256' | 'RS256' | 'HS256') => ({
        authorization: `Bearer ${await supabase.signUserToken({}, { algorithm })}`,
      });
      expect(await as({})).toBe('service_role');
      expect(await as({ apikey: await legacyKey() })).toBe('service_role');
      expect(await as({ apikey: supabase.publishableKey })).toBe('anon');
      expect(await as(await bearer('ES256'))).toBe('authenticated');
      expect(await as(await bearer('RS256'))).toBe('authenticated');
      expect(await as(await bearer('HS256'))).toBe('authenticated');
    });

    test('without the right to a function is refused, and a visitor is asked to sign in', async () => {
      expect(await post('guarded')).toMatchObject({ status: 403, body: { code: '42501' } });
      const answer = await post('guarded', {}, { apikey: supabase.publishableKey });
      expect(answer).toMatchObject({ status: 401, body: { code: '42501' } });
      expect(headersOf(answer).authenticate).toBe('Bearer');
    });

    test('that is not valid is refused, with the reason in a header', async () => {
      const expired = await supabase.signUserToken({ exp: 1 });
      const refused = await post('who_am_i', {}, { authorization: `Bearer ${expired}` });
      const forged = await post('who_am_i', {}, { authorization: 'Bearer nonsense' });
      // PGRST301 up to PostgREST 12, PGRST303 since.
      expect(refused).toMatchObject({ status: 401, body: { code: expect.stringMatching(/^PGRST30[13]$/) } });
      expect(headersOf(refused).authenticate).toBe(
        'Bearer error="invalid_token", error_description="JWT expired"',
      );
      expect(forged).toMatchObject({ status: 401, body: { code: 'PGRST301' } });
      expect(headersOf(forged).authenticate).toMatch(/^Bearer error="invalid_token"/);
    });
  });

  test('a user sees and changes their own profile alone, a visitor none', async () => {
    const id = await database.createUser({ access: 'access', expires: '2026-01-31T12:00:00.5Z' });
    await database.createUser({ access: 'of somebody else' });
    const token = await supabase.signUserToken({ sub: id });
    const clientWith = (options: { accessToken?: () => Promise<string> }) =>
      createClient(server.url, supabase.publishableKey, options);
    const user = clientWith({ accessToken: async () => token });

    const changes = { full_name: 'Alice', personality_data: { mood: ['calm'] } };
    const update = await user.from('profiles').update(changes).eq('id', id);
    const refused = await user.from('profiles').update({ spotify_access_token: 'refuse me' }).eq('id', id);
    const seen = await user
      .from('profiles')
      .select('id, full_name, personality_data, spotify_token_expires_at');
    const visitor = await clientWith({}).from('profiles').select('id');

    expect(update.status).toBe(204);
    expect(seen.data).toEqual([{ id, ...changes, spotify_token_expires_at: '2026-01-31T12:00:00.5+00:00' }]);
    expect(refused).toMatchObject({ status: 400, error: { code: '23514' } });
    expect(visitor).toMatchObject({ status: 401, error: { code: '42501' } });
  });

  describe('the adapters', () => {
    const claim = {
      batchSize: 100,
      refreshWithinSeconds: 2_400,
      leaseSeconds: 300,
      callsPerSecond: 250,
      dueFrom: null,
      sweepAgeSeconds: 0.5,
    };
    let store: SupabaseConnectionStore;
    let administration: SupabaseAdministration;
    let id: string;

    beforeEach(async () => {
      store = new SupabaseConnectionStore(functionsWith(supabase.secretKey), new VirtualClock());
      administration = new SupabaseAdministration(functionsWith(supabase.secretKey));
      id = await database.createUser({
        access: 'access',
        refresh: ownToken,
        expires: 60,
        connectedAt: 'yesterday',
      });
    });

    test('check, refresh and check a connection', async () => {
      const due = await store.check(id, 300, 15, TIMEOUT_MILLISECONDS);
      const lease = leaseOf(due);
      const outcome = {
        kind: 'refreshed',
        accessToken: 'new "access" ü',
        refreshToken: 'new-refresh',
        expiresInSeconds: 3_600,
      } as const;

      const first = await store.record([{ lease, outcome }], TIMEOUT_MILLISECONDS);
      const again = await store.record([{ lease, outcome }], TIMEOUT_MILLISECONDS);
      const after = await store.check(id, 300, 15, TIMEOUT_MILLISECONDS);

      expect(due).toMatchObject({ state: 'leased', lease: { userId: id, refreshToken: tokenOf(id) } });
      expect(first).toEqual({
        verdicts: new Map([[lease.leaseId, 'applied']]),
        refusals: [],
        notBeforeInSeconds: null,
        breakerIsOpen: false,
      });
      expect(again.verdicts.get(lease.leaseId)).toBe('already_applied');
      expect(after).toMatchObject({ state: 'connected' });
      expect(await database.profile(id)).toMatchObject({
        spotify_access_token: 'new "access" ü',
        spotify_refresh_token: 'new-refresh',
      });
    });

    test('claim what is due, and hear what the schema of Bondhu refuses', async () => {
      expect(await store.countDue(2_400, TIMEOUT_MILLISECONDS)).toBe(1);
      const { leases } = await store.claimDue(claim, TIMEOUT_MILLISECONDS);
      expect(leases).toMatchObject([{ userId: id, refreshToken: tokenOf(id) }]);

      const settled = leases.map((lease) => ({
        lease,
        outcome: { kind: 'refreshed', accessToken: 'refuse me', expiresInSeconds: 3_600 } as const,
      }));
      expect((await store.record(settled, TIMEOUT_MILLISECONDS)).refusals).toEqual([
        { userId: id, code: '23514', constraint: 'bondhus_own' },
      ]);
    });

    test('mark a dead grant, tell of it, undo it and clear it', async () => {
      const events = new SupabaseEventStore(functionsWith(supabase.secretKey));
      await database.owner("update spotify_auth.shared_state set events_since = '-infinity'");
      const markDead = async () => {
        const lease = leaseOf(await store.check(id, 300, 15, TIMEOUT_MILLISECONDS));
        const outcome = { kind: 'revoked', reason: 'revoked', retryAfterSeconds: 60 } as const;
        await store.record([{ lease, outcome }], TIMEOUT_MILLISECONDS);
      };

      await markDead();
      expect(await administration.show(id)).toMatchObject({ user_id: id, state: 'reauthorization_required' });
      expect(await administration.restore('2026-01-01T00:00:00Z', 10)).toBe(1);
      expect(await administration.show(id)).toMatchObject({ state: 'connected' });
      await markDead();
      await database.letTimePass(id, '8 days');

      const pending = await events.pending(10, TIMEOUT_MILLISECONDS);
      expect(pending).toMatchObject([{ kind: 'required', userId: id, reason: 'grant_revoked' }]);
      expect(await events.recordSent(pending, TIMEOUT_MILLISECONDS)).toBe(1);
      expect(await events.pending(10, TIMEOUT_MILLISECONDS)).toEqual([]);
      expect(await store.clearDeadGrants(604_800, 10, TIMEOUT_MILLISECONDS)).toEqual({
        cleared: 1,
        refusals: [],
        done: true,
      });
    });

    test('reconcile, and finish a sweep', async () => {
      await database.bypassingTriggers('delete from spotify_auth.connections');
      // One pass to the end of all profiles, wherever the last one stopped, and one from their beginning.
      const first = await store.reconcile(100, TIMEOUT_MILLISECONDS);
      const second = await store.reconcile(100, TIMEOUT_MILLISECONDS);
      expect(first.healed + second.healed).toBe(1);
      expect(await administration.finishSweep(true)).toMatchObject({ newly_missed_profile_changes: 0 });
      expect(await administration.statistics()).toMatchObject({
        connected: 1,
        seconds_since_last_sweep: expect.any(Number),
      });
    });

    test.each<[string, string, object, RegExp]>([
      ['MIGRATION_MISSING', 'no_such', {}, /status 404, code PGRST202/],
      ['MIGRATION_MISSING', 'spotify_due_count', { of_another_version: 1 }, /status 404, code PGRST202/],
      ['KEY_REJECTED', 'guarded', {}, /status 403, code 42501/],
      ['PROFILES_HIDDEN', 'fail', { state: 'PT530' }, /status 530, code PT530/],
      ['STORE_UNAVAILABLE', 'dawdle', {}, /status 500, code 57014/],
      ['STORE_REFUSED', 'spotify_reconcile', { batch_size: 0 }, /status 400, code 22023/],
      ['STORE_ANSWER_UNEXPECTED', 'nothing', {}, /the answer/],
    ])('report %s of %s', async (code, name, parameters, message) => {
      expect(await failureOf(name, parameters)).toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    });

    test('report a key that is not of this project, of either kind', async () => {
      const [header, claims] = (await legacyKey()).split('.');
      for (const key of ['sb_secret_guessed', `${header}.${claims}.${'x'.repeat(43)}`]) {
        expect(await failureOf('who_am_i', {}, key)).toMatchObject({
          code: 'KEY_REJECTED',
          message: expect.stringMatching(/status 401/),
        });
      }
    });

    test('report a page of a proxy as an outage', async () => {
      await server.setAway(true);
      const failure = await failureOf('who_am_i', {});
      await server.setAway(false);
      expect(failure).toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringMatching(/status 502, code none/),
      });
    });
  });

  function functionsWith(key: string): SupabaseFunctions {
    return functionsAt(server.url, key);
  }

  function failureOf(name: string, parameters: object, key = supabase.secretKey): Promise<unknown> {
    return functionsWith(key)
      .call(name, v.string(), TIMEOUT_MILLISECONDS, { ...parameters })
      .catch((error: unknown) => error);
  }

  /** @param values the arguments, or a body as it is */
  async function post(name: string, values: object | string = {}, headers: Record<string, string> = {}) {
    const response = await fetch(`${server.url}/rest/v1/rpc/${name}`, {
      method: 'POST',
      headers: { apikey: supabase.secretKey, 'content-type': 'application/json', ...headers },
      body: typeof values === 'string' ? values : JSON.stringify(values),
    });
    const text = await response.text();
    const body: unknown = text === '' ? null : JSON.parse(text);
    return { status: response.status, headers: response.headers, body };
  }
});

if (hasPostgrest) {
  // The stand-in has no such copy: it is as PostgREST right after a reload.
  test("PostgREST's copy of the schema is behind until it is told: either way a migration is missing", async () => {
    const { url, reloadSchema } = findPostgrest();
    const call = () =>
      functionsAt(url, supabase.secretKey)
        .call('later', v.number(), TIMEOUT_MILLISECONDS)
        .catch((error: unknown) => error);
    const missing = (code: string) => ({ code: 'MIGRATION_MISSING', message: expect.stringContaining(code) });

    await database.owner("create function public.later() returns int language sql as 'select 1'");
    expect(await call()).toMatchObject(missing('PGRST202'));
    await reloadSchema();
    expect(await call()).toBe(1);
    await database.owner('drop function public.later()');
    expect(await call()).toMatchObject(missing('42883'));
    await reloadSchema();
    expect(await call()).toMatchObject(missing('PGRST202'));
  });
}

function functionsAt(url: string, key: string): SupabaseFunctions {
  const secret = new Secret(
    new FakeSecretsManager({ secret_key: key }).reader,
    'arn',
    SUPABASE_CREDENTIALS,
    new VirtualClock(),
  );
  return new SupabaseFunctions(new URL(url), secret, new RecordingMetrics());
}

function legacyKey(): Promise<string> {
  return supabase.signUserToken({ role: 'service_role', iss: 'supabase' }, { algorithm: 'HS256' });
}

function leaseOf(check: { readonly state: string; readonly lease?: Lease }): Lease {
  if (check.lease === undefined) throw new Error(`no lease was given: ${check.state}`);
  return check.lease;
}

function row(n: number) {
  return { n, at: '2026-01-31T12:00:00+00:00' };
}

function headersOf({ headers }: { readonly headers: Headers }) {
  return {
    type: headers.get('content-type'),
    range: headers.get('content-range'),
    profile: headers.get('content-profile'),
    authenticate: headers.get('www-authenticate'),
  };
}

import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { type BondhuDatabase, createBondhuDatabase } from '../../../stand-ins/supabase/bondhu-database.ts';
import {
  type Postgres,
  runSql,
  settingsWithoutDurability,
  startPostgres,
} from '../../../stand-ins/supabase/postgres.ts';
import { type Supabase, startSupabase } from '../../../stand-ins/supabase/server.ts';

let postgres: Postgres;
let database: BondhuDatabase;
let supabase: Supabase;
let service: SupabaseClient;

beforeAll(async () => {
  // @supabase/lite prints every error that it answers with.
  jest.spyOn(console, 'error').mockImplementation(() => {});
  postgres = await startPostgres({ inMemory: true, settings: settingsWithoutDurability });
  database = await createBondhuDatabase(postgres, { name: 'bondhu' });
  await runSql(
    database.ownerUrl,
    `create function public.add(a int, b int default 40) returns int language sql as 'select a + b';
     create function public.who_am_i() returns text language sql as 'select current_user::text';`,
  );
  supabase = await startSupabase({ database });
  service = createClient(supabase.url, supabase.secretKey);
});

afterAll(async () => {
  await supabase?.stop();
  await postgres.stop();
});

test.each([
  ['no key', {}, 'No API key found in request'],
  ['an unknown key', { apikey: 'sb_secret_guessed' }, 'Invalid API key'],
])('%s is refused', async (_, headers: Record<string, string>, message) => {
  const response = await fetch(`${supabase.url}/rest/v1/rpc/who_am_i`, { method: 'POST', headers });
  expect(response.status).toBe(401);
  expect(await response.json()).toMatchObject({ message });
});

describe('users', () => {
  test('the key set says how long it may be kept, and follows a rotation and a revocation', async () => {
    const readKeyIds = async () => {
      const response = await fetch(`${supabase.url}/auth/v1/.well-known/jwks.json`);
      expect(response.headers.get('cache-control')).toBe('public, max-age=600');
      return ((await response.json()) as JSONWebKeySet).keys.map(({ kid }) => kid);
    };
    const [current, standby, ...others] = await readKeyIds();
    const old = await supabase.signUserToken({});
    expect(decodeProtectedHeader(old).kid).toBe(current);

    await supabase.rotateSigningKey();
    expect(decodeProtectedHeader(await supabase.signUserToken({})).kid).toBe(standby);
    const rotated = await readKeyIds();
    expect(rotated).toEqual([standby, expect.any(String), current, ...others]);
    expect(await supabase.verifyUserToken(old)).toMatchObject({ role: 'authenticated' });

    supabase.revokeSigningKeys();
    expect(await readKeyIds()).toEqual(rotated.filter((kid) => kid !== current));
    await expect(supabase.verifyUserToken(old)).rejects.toThrow();
  });

  test('the discovery document names the issuer', async () => {
    const response = await fetch(`${supabase.url}/auth/v1/.well-known/openid-configuration`);
    expect(await response.json()).toMatchObject({ issuer: `${supabase.url}/auth/v1` });
  });

  test('signing up, signing in and refreshing yield ES256 tokens of the published keys', async () => {
    const keySet = createRemoteJWKSet(new URL(`${supabase.url}/auth/v1/.well-known/jwks.json`));
    const credentials = { email: 'carol@example.com', password: 'correct horse' };
    const client = createClient(supabase.url, supabase.publishableKey);

    const id = await supabase.createUser(credentials.email, credentials.password);
    const signIn = await client.auth.signInWithPassword(credentials);
    const refresh = await client.auth.refreshSession();

    for (const { session } of [signIn.data, refresh.data]) {
      const { payload, protectedHeader } = await jwtVerify(session?.access_token ?? '', keySet, {
        issuer: `${supabase.url}/auth/v1`,
        audience: 'authenticated',
        algorithms: ['ES256'],
      });
      expect(payload).toMatchObject({ sub: id, role: 'authenticated', email: credentials.email });
      expect(protectedHeader.kid).toEqual(expect.any(String));
    }
    expect((await client.auth.getUser()).data.user?.id).toBe(id);
    expect((await client.auth.signInWithPassword({ ...credentials, password: 'wrong' })).error?.status).toBe(
      400,
    );
  });

  test('have what Supabase Auth puts into a token and says about a user', async () => {
    const credentials = { email: 'grace@example.com', password: 'correct horse' };
    const id = await supabase.createUser(credentials.email, credentials.password);
    const client = createClient(supabase.url, supabase.publishableKey);
    const { data } = await client.auth.signInWithPassword(credentials);
    expect(decodeJwt(data.session?.access_token ?? '')).toEqual({
      aal: 'aal1',
      amr: [{ method: 'password', timestamp: expect.any(Number) }],
      app_metadata: { provider: 'email', providers: ['email'] },
      aud: 'authenticated',
      email: credentials.email,
      exp: expect.any(Number),
      iat: expect.any(Number),
      is_anonymous: false,
      iss: `${supabase.url}/auth/v1`,
      phone: '',
      role: 'authenticated',
      session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sub: id,
      user_metadata: expect.any(Object),
    });
    const user = {
      id,
      aud: 'authenticated',
      role: 'authenticated',
      email: credentials.email,
      phone: '',
      app_metadata: { provider: 'email', providers: ['email'] },
      user_metadata: expect.any(Object),
      identities: expect.any(Array),
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      is_anonymous: false,
    };
    expect(data.user).toMatchObject(user);
    expect((await client.auth.getUser()).data.user).toMatchObject(user);
  });
});

test('browsers of any origin are let in', async () => {
  const response = await fetch(`${supabase.url}/rest/v1/profiles`, {
    method: 'OPTIONS',
    headers: {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'apikey,authorization,x-client-info',
    },
  });
  expect(response.ok).toBe(true);
  expect(response.headers.get('access-control-allow-origin')).toBe('*');
  expect(response.headers.get('access-control-allow-headers')).toContain('apikey');
});

test('requests are counted, and faults come and go', async () => {
  const before = supabase.requests.length;

  await supabase.setFault({ kind: 'status', status: 503 });
  const unavailable = await service.rpc('who_am_i');
  await supabase.setFault({ kind: 'reset' });
  const reset = await service.rpc('who_am_i');
  await supabase.setFault({ kind: 'refused' });
  const refused = await service.rpc('who_am_i');
  await supabase.setFault({ kind: 'hang' });
  const hung = await service.rpc('who_am_i').abortSignal(AbortSignal.timeout(100));
  await supabase.setFault(undefined);
  const healthy = await service.rpc('who_am_i');

  expect([unavailable.status, reset.status, hung.status, healthy.status]).toEqual([503, 0, 0, 200]);
  expect(refused.error?.message).toMatch(/fetch failed/);
  expect(supabase.requests.slice(before)).toEqual(
    Array(4).fill({ method: 'POST', path: '/rest/v1/rpc/who_am_i' }),
  );
});

test('an error of the database can strike the first calls of one function', async () => {
  await supabase.setFault({ kind: 'sql-error', code: '40P01', of: 'add', times: 1 });

  const bystander = await service.rpc('who_am_i');
  const struck = await service.rpc('add', { a: 1 });
  const repeated = await service.rpc('add', { a: 1 });
  await supabase.setFault(undefined);

  expect([bystander.status, struck.status, struck.error?.code, repeated.data]).toEqual([
    200,
    500,
    '40P01',
    41,
  ]);
});

test('an answer can be lost after the work was done', async () => {
  await runSql(
    database.ownerUrl,
    `create sequence public.done;
     create function public.work() returns int language sql security definer as $$ select nextval('public.done')::int $$;`,
  );
  await supabase.setFault({ kind: 'reset-after', times: 1 });

  const lost = await service.rpc('work').retry(false);
  const next = await service.rpc('work');
  await supabase.setFault(undefined);

  expect([lost.status, next.data]).toEqual([0, 2]);
});

import { beforeEach, describe, expect, test } from '@jest/globals';
import type { ConnectionStatistics } from '../../../lambda/connection/connection-administration.ts';
import { StoreError } from '../../../lambda/connection/connection-store.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import type { ClientAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { diagnose } from '../../../lambda/sweeper/diagnose.ts';

import { healthyStatistics } from '../fakes/statistics.ts';

let readSecret: () => Promise<unknown>;
let statistics: () => Promise<ConnectionStatistics>;
let answer: ClientAnswer;
let published: { issuer: string | null; signingKeys: number };
let hasSharedSecret: boolean;
let spotifyCalls: number;

beforeEach(() => {
  readSecret = async () => ({});
  statistics = async () => healthyStatistics;
  answer = { kind: 'accepted' };
  published = { issuer: 'https://project.supabase.co/auth/v1', signingKeys: 2 };
  hasSharedSecret = false;
  spotifyCalls = 0;
});

test('a stage that works passes every check', async () => {
  const { checks } = await run();
  expect(checks.map(({ name, ok }) => [name, ok])).toEqual([
    ['spotify_secret', true],
    ['supabase_secret', true],
    ['supabase', true],
    ['user_tokens', true],
    ['migrations', true],
    ['spotify_client', true],
    ['last_sweep', true],
    ['stored_values', true],
  ]);
});

test('a project that does not say its issuer passes, and the line says so', async () => {
  published = { issuer: null, signingKeys: 1 };
  expect(await findingOf('user_tokens')).toEqual({
    ok: true,
    detail: 'Supabase publishes no issuer, signing keys: 1',
  });
});

describe('what is wrong is said with what to do:', () => {
  test('a secret that is not filled in', async () => {
    readSecret = async () => {
      throw new SecretError('SECRET_NOT_FILLED_IN', 'secret x has not been filled in: run ...');
    };
    expect(await findingOf('spotify_secret')).toEqual({
      ok: false,
      detail: 'secret x has not been filled in: run ...',
    });
    expect(await findingOf('supabase_secret')).toMatchObject({ ok: true });
  });

  test('a Supabase that does not answer, of which the other checks then know nothing', async () => {
    statistics = async () => {
      throw new StoreError('STORE_UNAVAILABLE', 'Supabase did not answer');
    };
    expect(await findingOf('supabase')).toEqual({ ok: false, detail: 'Supabase did not answer' });
    expect(await findingOf('migrations')).toMatchObject({ ok: false });
    expect(await findingOf('last_sweep')).toMatchObject({ ok: false });
    expect(await findingOf('stored_values')).toMatchObject({ ok: false });
    expect(await findingOf('spotify_client')).toMatchObject({ ok: true });
  });

  test('migrations that are missing, which is not the fault of Supabase', async () => {
    statistics = async () => {
      throw new StoreError('MIGRATION_MISSING', 'the database does not know the function: apply migrations');
    };
    expect(await findingOf('supabase')).toEqual({ ok: true, detail: 'reached, and it accepts the key' });
    expect(await findingOf('migrations')).toEqual({
      ok: false,
      detail: 'the database does not know the function: apply migrations',
    });
  });

  test('an issuer that this stage does not take', async () => {
    published = { issuer: 'https://login.example.com/auth/v1', signingKeys: 2 };
    expect(await findingOf('user_tokens')).toEqual({
      ok: false,
      detail:
        'Supabase issues them as https://login.example.com/auth/v1, this stage takes ' +
        'https://project.supabase.co/auth/v1, https://auth.example.com/auth/v1: set tokenIssuers in cdk.json to ' +
        '["https://login.example.com/auth/v1"] and deploy',
    });
  });

  test('a project that signs with a shared secret, which this stage does not have', async () => {
    published = { ...published, signingKeys: 0 };
    expect(await findingOf('user_tokens')).toEqual({
      ok: false,
      detail: expect.stringMatching(
        /^Supabase publishes no signing key.*fill-secret supabase.*"jwt_secret"$/,
      ),
    });
    hasSharedSecret = true;
    expect(await findingOf('user_tokens')).toMatchObject({ ok: true });
  });

  test('an older schema', async () => {
    statistics = async () => ({
      ...healthyStatistics,
      schema_version: 0,
      not_before_in: null,
      seconds_since_last_sweep: null,
    });
    expect(await findingOf('migrations')).toEqual({
      ok: false,
      detail: 'the schema has version 0, this code needs 1: apply migrations',
    });
    expect(await findingOf('last_sweep')).toEqual({
      ok: false,
      detail: 'no sweep has finished yet',
    });
  });

  test('a newer schema is none', async () => {
    statistics = async () => ({
      ...healthyStatistics,
      schema_version: 2,
      not_before_in: null,
      seconds_since_last_sweep: 1,
    });
    expect(await findingOf('migrations')).toMatchObject({ ok: true });
  });

  test.each<[ClientAnswer, RegExp]>([
    [{ kind: 'client_rejected', reason: 'invalid_client' }, /invalid_client.*dashboard/],
    [{ kind: 'rejected', reason: 'unsupported_grant_type' }, /unsupported_grant_type/],
    [{ kind: 'unavailable', reason: 'status 503' }, /no usable answer: status 503/],
    [{ kind: 'throttled', retryAfterSeconds: 30 }, /wait for 30 s/],
  ])('a client that Spotify answers with %j', async (present, detail) => {
    answer = present;
    expect(await findingOf('spotify_client')).toEqual({ ok: false, detail: expect.stringMatching(detail) });
  });

  test('a sweep that is overdue', async () => {
    statistics = async () => ({
      ...healthyStatistics,
      schema_version: 1,
      not_before_in: null,
      seconds_since_last_sweep: 2_701,
    });
    expect(await findingOf('last_sweep')).toEqual({ ok: false, detail: '45 minutes ago' });
  });
});

test('values that cannot be right are counted, with their cause', async () => {
  statistics = async () => ({ ...healthyStatistics, implausible_expiries: 5, shared_tokens: 2 });
  expect(await findingOf('stored_values')).toEqual({
    ok: false,
    detail: expect.stringMatching(
      /^5 connections have an impossible expiry.*time zone.*; 2 connections share a refresh token/,
    ),
  });
});

test.each([
  [1, 100],
  [4, 100],
  [9, 1_000],
])(
  '%i of %i connections with such values are told and fail nothing: users can write them',
  async (implausible, connected) => {
    statistics = async () => ({ ...healthyStatistics, connected, implausible_expiries: implausible });
    expect(await findingOf('stored_values')).toEqual({
      ok: true,
      detail: expect.stringMatching(`^${implausible} connections have an impossible expiry`),
    });
  },
);

test('a hundredth of all connections with such values is more than users do', async () => {
  statistics = async () => ({ ...healthyStatistics, connected: 1_000, implausible_expiries: 10 });
  expect(await findingOf('stored_values')).toMatchObject({ ok: false });
});

test('Spotify is not called while it lets nobody', async () => {
  statistics = async () => ({
    ...healthyStatistics,
    schema_version: 1,
    not_before_in: 12.3,
    seconds_since_last_sweep: 1,
  });
  expect(await findingOf('spotify_client')).toMatchObject({
    ok: false,
    detail: expect.stringContaining('13 s'),
  });
  expect(spotifyCalls).toBe(0);
});

test('a defect in our code is not a finding', async () => {
  readSecret = async () => {
    throw new RangeError('a defect');
  };
  await expect(run()).rejects.toThrow(RangeError);
});

function run() {
  return diagnose({
    secrets: { spotify_secret: { read: () => readSecret() }, supabase_secret: { read: async () => ({}) } },
    administration: {
      statistics: () => statistics(),
    },
    clientCheck: {
      checkClient: async () => {
        spotifyCalls += 1;
        return answer;
      },
    },
    readPublishedTokens: async () => published,
    hasSharedSecret: async () => hasSharedSecret,
    tokenIssuers: ['https://project.supabase.co/auth/v1', 'https://auth.example.com/auth/v1'],
    longestSweepGapSeconds: 2_700,
  });
}

async function findingOf(name: string) {
  const { checks } = await run();
  const found = checks.find((check) => check.name === name);
  return found && { ok: found.ok, detail: found.detail };
}

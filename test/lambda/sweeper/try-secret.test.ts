import { describe, expect, test } from '@jest/globals';
import { StoreError, type StoreErrorCode } from '../../../lambda/connection/connection-store.ts';
import { SecretError, type SecretErrorCode } from '../../../lambda/connection/secret-error.ts';
import type { ClientAnswer } from '../../../lambda/connection/token-endpoint.ts';
import { trySpotifyClient, trySupabaseKey } from '../../../lambda/sweeper/try-secret.ts';
import { healthyStatistics } from '../fakes/statistics.ts';

const holding = <Value>(value: Value) => ({ read: async () => value });
const failing = (code: SecretErrorCode) => ({
  read: async (): Promise<never> => {
    throw new SecretError(code, 'secret x: what to do');
  },
});
const accepting = { checkClient: async (): Promise<ClientAnswer> => ({ kind: 'accepted' }) };
const working = { statistics: async () => healthyStatistics };

describe('a Spotify client', () => {
  const client = { client_id: 'ours' };

  test.each<[ClientAnswer, string, RegExp]>([
    [{ kind: 'accepted' }, 'accepted', /accepts/],
    [{ kind: 'client_rejected', reason: 'invalid_client' }, 'refused', /refuses .*\(invalid_client\)/],
    [{ kind: 'rejected', reason: 'status 403' }, 'refused', /\(status 403\)/],
    [{ kind: 'throttled', retryAfterSeconds: 7 }, 'unknown', /wait for 7 s/],
    [{ kind: 'unavailable', reason: 'status 503' }, 'unknown', /status 503/],
  ])('to which Spotify says %j is %s', async (said, answer, detail) => {
    const trial = await trySpotifyClient(client, holding(client), { checkClient: async () => said });

    expect(trial).toEqual({ answer, detail: expect.stringMatching(detail), loses: null });
  });

  test('of another app would lose every grant, however good it is', async () => {
    const trial = await trySpotifyClient({ client_id: 'other' }, holding(client), accepting);

    expect(trial).toMatchObject({ answer: 'accepted', loses: 'client' });
  });

  test.each(['SECRET_NOT_FILLED_IN', 'SECRET_MALFORMED'] as const)(
    'has nothing to lose where the present one is unusable: %s',
    async (code) => {
      expect(await trySpotifyClient(client, failing(code), accepting)).toMatchObject({ loses: null });
    },
  );

  test.each(['SECRET_MISSING', 'SECRET_UNREADABLE'] as const)(
    'is not judged where nobody knows the present one: %s',
    async (code) => {
      await expect(trySpotifyClient(client, failing(code), accepting)).rejects.toMatchObject({ code });
    },
  );
});

describe('a Supabase key', () => {
  test.each<[StoreErrorCode, string]>([
    ['KEY_REJECTED', 'refused'],
    ['STORE_UNAVAILABLE', 'unknown'],
    ['STORE_REFUSED', 'unknown'],
    ['MIGRATION_MISSING', 'accepted'],
    ['SCHEMA_NOT_EXPOSED', 'accepted'],
    ['PROFILES_HIDDEN', 'accepted'],
    ['STORE_ANSWER_UNEXPECTED', 'accepted'],
  ])('with which a call ends in %s is %s', async (code, answer) => {
    const statistics = async () => {
      throw new StoreError(code, 'what to do');
    };

    expect(await trySupabaseKey({}, holding({}), { statistics })).toMatchObject({ answer });
  });

  test.each([
    ['a secret that is gone', { jwt_secret: 'old' }, {}, 'jwt_secret'],
    ['the same secret', { jwt_secret: 'old' }, { jwt_secret: 'old' }, null],
    ['a secret that is new', {}, { jwt_secret: 'new' }, null],
    ['no secret at all', {}, {}, null],
  ])('with %s for user tokens loses what it should: %j', async (_name, present, candidate, loses) => {
    expect(await trySupabaseKey(candidate, holding(present), working)).toEqual({
      answer: 'accepted',
      detail: 'Supabase accepts the key',
      loses,
    });
  });

  test('does not pass a defect of ours for an answer', async () => {
    const statistics = async () => {
      throw new TypeError('a defect');
    };

    await expect(trySupabaseKey({}, holding({}), { statistics })).rejects.toThrow('a defect');
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { errors, exportJWK, generateKeyPair, type JWK } from 'jose';
import { SupabaseSigningKeys } from '../../../lambda/adapters/supabase-signing-keys.ts';
import { FakeHttpServer, hang, html, json } from '../fakes/http-server.ts';

const TOKEN = { payload: '', signature: '' };

let supabase: FakeHttpServer;
let signingKeys: SupabaseSigningKeys;
let publicKey: JWK;
let now: number;

beforeAll(async () => {
  supabase = await FakeHttpServer.start();
  publicKey = await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey);
});
afterAll(() => supabase.stop());

beforeEach(() => {
  supabase.reset();
  signingKeys = new SupabaseSigningKeys(supabase.url, { timeoutMilliseconds: 500 });
  now = Date.now();
  jest.spyOn(Date, 'now').mockImplementation(() => now);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('a key set', () => {
  test('is fetched once for as long as half of its time', async () => {
    publish(['current']);
    const load = jest.spyOn(signingKeys, 'load');
    await find('current');
    letSecondsPass(299);
    await find('current');
    expect(load).toHaveBeenCalledTimes(1);
    expect(supabase.requests).toMatchObject([
      {
        method: 'GET',
        path: '/auth/v1/.well-known/jwks.json',
        headers: { accept: 'application/json' },
        body: '',
      },
    ]);
  });

  test('is fetched again in the second half, and nothing waits for that', async () => {
    publish(['current']);
    await find('current');
    letSecondsPass(301);
    supabase.respond = hang;
    const load = jest.spyOn(signingKeys, 'load');
    await find('current');
    await find('current');
    expect(load).toHaveBeenCalledTimes(1);
    await requestsToCome(2);
    // One that hangs is not repeated at once, and not waited for later: Lambda may have frozen it.
    publish(['current', 'next']);
    letSecondsPass(11);
    await find('current');
    await requestsToCome(3);
    letSecondsPass(288);
    await find('next');
  });

  test('serves to its end when it cannot be fetched again, and no longer', async () => {
    publish(['current']);
    await find('current');
    supabase.respond = html(502);
    letSecondsPass(599);
    await find('current');
    letSecondsPass(1);
    await expect(find('current')).rejects.toMatchObject({
      code: 'KEY_SET_UNAVAILABLE',
      message: "Supabase's signing keys could not be fetched: status 502",
    });
  });

  test('gives up a revoked key within ten minutes', async () => {
    publish(['current', 'leaked']);
    await find('leaked');
    publish(['current']);
    letSecondsPass(600);
    await expect(find('leaked')).rejects.toThrow(errors.JWKSNoMatchingKey);
  });

  test.each([
    ['public, max-age=600', '590', 10],
    ['public, Max-Age=60', undefined, 60],
    ['max-age=0', undefined, 10],
    ['public,max-age=600', '9999', 10],
    ['public, s-maxage=60', undefined, 600],
    ['No-Store', undefined, 10],
    ['public, no-cache', undefined, 10],
    [undefined, '500', 100],
    [undefined, undefined, 600],
    ['public, max-age=86400', undefined, 600],
    ['public, max-age=86400', '500', 100],
    ['public, max-age=600', '9 soon', 600],
    ['public, max-age=600', '-5', 600],
  ])('with Cache-Control %p and Age %p is kept for %p s', async (cacheControl, age, seconds) => {
    signingKeys = new SupabaseSigningKeys(supabase.url, { timeoutMilliseconds: 60_000 });
    publish(['current'], { ...(cacheControl && { 'cache-control': cacheControl }), ...(age && { age }) });
    await find('current');
    // The fetch of the second half must not end before the test does.
    supabase.respond = hang;
    letSecondsPass(seconds - 1);
    await find('current');
    publish(['next']);
    letSecondsPass(1);
    await expect(find('current')).rejects.toThrow(errors.JWKSNoMatchingKey);
  });

  test('is as old as its Date and Age say, whatever this machine thinks', async () => {
    publish(['current'], { date: new Date('2030-01-01T00:10:00Z').toUTCString(), age: '60' });
    await find('current');
    const madeAt = Date.parse('2030-01-01T00:09:00Z') / 1_000;
    expect(signingKeys.mayHaveMissed(madeAt)).toBe(false);
    expect(signingKeys.mayHaveMissed(madeAt + 1)).toBe(true);
  });

  test('without a Date was made when it was asked for', async () => {
    publish(['current']);
    const answer = supabase.respond;
    supabase.respond = (response, request) => {
      response.sendDate = false;
      answer(response, request);
    };
    await find('current');
    expect(signingKeys.mayHaveMissed(now / 1_000)).toBe(false);
    expect(signingKeys.mayHaveMissed(now / 1_000 + 1)).toBe(true);
  });

  test('that is not known may have missed anything', () => {
    expect(signingKeys.mayHaveMissed(0)).toBe(true);
  });

  test('does not give way to an older one', async () => {
    publish(['current', 'next'], { age: '10' });
    await find('current');
    publish(['current'], { age: '500' });
    await expect(find('unknown')).rejects.toThrow(errors.JWKSNoMatchingKey);
    await find('next');
  });
});

test('a set that cannot be fetched is not asked for again within three seconds, whatever the tokens', async () => {
  supabase.respond = html(502);
  for (let tokens = 0; tokens < 20; tokens += 1) {
    await expect(find(`key-${tokens}`)).rejects.toMatchObject({ code: 'KEY_SET_UNAVAILABLE' });
  }
  letSecondsPass(2);
  await expect(find('current')).rejects.toMatchObject({ code: 'KEY_SET_UNAVAILABLE' });
  expect(supabase.requests).toHaveLength(1);
  publish(['current']);
  letSecondsPass(1);
  await find('current');
});

test('a fetch that was begun before Lambda froze the instance does not fail the request after it', async () => {
  publish(['current']);
  await find('current');
  letSecondsPass(301);
  let answerLate: () => void = () => {};
  supabase.respond = (response) => {
    answerLate = () => void response.writeHead(502).end();
  };
  await find('current');
  await requestsToCome(2);
  letSecondsPass(300);
  publish(['current', 'next']);
  answerLate();
  // A call that begins later has come back by then, so has the late answer.
  await new SupabaseSigningKeys(supabase.url).load();
  await find('next');
});

test('a set that had to be fetched is not fetched again for a key id that it does not have', async () => {
  publish(['current']);
  await expect(find('unknown')).rejects.toThrow(errors.JWKSNoMatchingKey);
  expect(supabase.requests).toHaveLength(1);
});

describe('a key id that the set does not have', () => {
  beforeEach(async () => {
    publish(['current']);
    await find('current');
    supabase.requests.length = 0;
  });

  test('has it fetched again once within 30 s', async () => {
    for (let times = 0; times < 5; times += 1) {
      await expect(find('unknown')).rejects.toThrow(errors.JWKSNoMatchingKey);
    }
    expect(supabase.requests).toHaveLength(1);
    letSecondsPass(30);
    await expect(find('unknown')).rejects.toThrow(errors.JWKSNoMatchingKey);
    expect(supabase.requests).toHaveLength(2);
  });

  test('is found right after strangers have made up nine others', async () => {
    for (let stranger = 0; stranger < 9; stranger += 1) {
      await expect(find(`stranger-${stranger}`)).rejects.toThrow(errors.JWKSNoMatchingKey);
    }
    publish(['current', 'next']);
    await find('next');
  });

  test('costs ten calls within 30 s, however many are made up', async () => {
    for (let stranger = 0; stranger < 50; stranger += 1) {
      await expect(find(`stranger-${stranger}`)).rejects.toThrow(errors.JWKSNoMatchingKey);
    }
    expect(supabase.requests).toHaveLength(10);
  });

  test('leaves the known keys in use when the set cannot be fetched', async () => {
    supabase.respond = html(502);
    await expect(find('unknown')).rejects.toMatchObject({ code: 'KEY_SET_UNAVAILABLE' });
    await find('current');
  });
});

function publish(keyIds: readonly string[], headers: Record<string, string> = {}): void {
  supabase.respond = json(
    200,
    { keys: keyIds.map((kid) => ({ ...publicKey, kid, alg: 'ES256', use: 'sig' })) },
    headers,
  );
}

function find(kid: string) {
  return signingKeys.find({ alg: 'ES256', kid }, TOKEN);
}

function letSecondsPass(seconds: number): void {
  now += seconds * 1_000;
}

async function requestsToCome(count: number): Promise<void> {
  while (supabase.requests.length < count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

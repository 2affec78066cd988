import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import {
  CompactSign,
  exportJWK,
  exportSPKI,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { SupabaseSigningKeys } from '../../../lambda/adapters/supabase-signing-keys.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import {
  AuthenticationError,
  authenticate,
  type SharedSecret,
  UnknownKeyError,
} from '../../../lambda/status/authentication.ts';
import { FakeHttpServer, hang, html, json, reset } from '../fakes/http-server.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const SHARED_SECRET = 'a shared secret of at least thirty-two characters';

let supabase: FakeHttpServer;
let signingKeys: SupabaseSigningKeys;
let sharedSecret: SharedSecret;
let keys: Record<'ES256' | 'RS256', GenerateKeyPairResult>;

beforeAll(async () => {
  supabase = await FakeHttpServer.start();
  keys = {
    ES256: await generateKeyPair('ES256', { extractable: true }),
    RS256: await generateKeyPair('RS256', { extractable: true }),
  };
});
afterAll(() => supabase.stop());

beforeEach(async () => {
  supabase.reset();
  await publish('ES256', 'RS256');
  forgetSigningKeys();
  sharedSecret = { read: async () => null, renew: async () => null, mayHaveMissed: () => false };
});

describe('a token of a signed-in user', () => {
  test.each(['ES256', 'RS256'] as const)('signed with a published %s key is accepted', async (algorithm) => {
    expect(await authenticate(await bearer({}, algorithm), dependencies())).toBe(USER);
  });

  test('is accepted again without fetching the keys again', async () => {
    await authenticate(await bearer(), dependencies());
    await authenticate(await bearer({}, 'RS256'), dependencies());
    expect(supabase.requests).toMatchObject([{ method: 'GET', path: '/auth/v1/.well-known/jwks.json' }]);
  });

  test('is accepted whatever the case of the user id and of the scheme', async () => {
    const header = (await bearer({ sub: USER.toUpperCase() })).replace('Bearer', 'bearer');
    expect(await authenticate(header, dependencies())).toBe(USER);
  });

  test('that expired less than 60 s ago is accepted', async () => {
    expect(await authenticate(await bearer({ exp: secondsFromNow(-50) }), dependencies())).toBe(USER);
  });
});

describe('refused as TOKEN_MISSING is', () => {
  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Basic dXNlcjpwYXNz',
    'Basic Bearer token',
    'Bearer a b',
    'token',
  ])('the header %p', async (header) => {
    await expectRefusal(header, 'TOKEN_MISSING');
    expect(supabase.requests).toHaveLength(0);
  });
});

describe('refused as TOKEN_INVALID is', () => {
  const claims: [string, JWTPayload][] = [
    ['another issuer', { iss: 'https://evil.example/auth/v1' }],
    ['no issuer', { iss: undefined } as unknown as JWTPayload],
    ['another audience', { aud: 'anon' }],
    ['no audience', { aud: undefined } as unknown as JWTPayload],
    ['another role', { role: 'anon' }],
    ['the role of a server', { role: 'service_role' }],
    ['no role', { role: undefined }],
    ['no subject', { sub: undefined } as unknown as JWTPayload],
    ['no expiry', { exp: undefined } as unknown as JWTPayload],
    ['an expiry more than 60 s ago', { exp: Math.floor(Date.now() / 1_000) - 70 }],
    ['a start more than 60 s ahead', { nbf: Math.floor(Date.now() / 1_000) + 300 }],
  ];
  test.each(claims)('a token with %s', async (_name, changes) => {
    await expectRefusal(await bearer(changes), 'TOKEN_INVALID');
  });

  const oddValues: [string, unknown][] = [
    ['null', null],
    ['a number', 7],
    ['true', true],
    ['an object', { toString: 'authenticated' }],
    ['an array', [USER, 'authenticated']],
    ['an array in an array', [['authenticated']]],
    ['an empty text', ''],
  ];
  const oddClaims = ['sub', 'role', 'aud', 'iss', 'exp', 'nbf'].flatMap((claim) =>
    oddValues
      // Audiences may come in an array, and a time is a number.
      .filter(([name]) => !(claim === 'aud' && name === 'an array'))
      .filter(([name]) => !(['exp', 'nbf'].includes(claim) && name === 'a number'))
      .map(([name, value]): [string, string, unknown] => [claim, name, value]),
  );
  test.each(oddClaims)('a token whose %s is %s, whichever key signed it', async (claim, _name, value) => {
    sharedSecret = {
      read: async () => SHARED_SECRET,
      renew: async () => SHARED_SECRET,
      mayHaveMissed: () => false,
    };
    for (const odd of [value, ...(claim === 'exp' || claim === 'nbf' ? ['4102444800'] : [])]) {
      const changes = { [claim]: odd } as JWTPayload;
      await expectRefusal(await bearer(changes), 'TOKEN_INVALID');
      await expectRefusal(`Bearer ${await signShared(changes)}`, 'TOKEN_INVALID');
    }
  });

  test.each([null, 7, 'text', [], [1]])('a token whose payload is %j', async (payload) => {
    sharedSecret = {
      read: async () => SHARED_SECRET,
      renew: async () => SHARED_SECRET,
      mayHaveMissed: () => false,
    };
    const bytes = new TextEncoder().encode(JSON.stringify(payload));
    const published = new CompactSign(bytes).setProtectedHeader({ alg: 'ES256', kid: 'ES256' });
    await expectRefusal(`Bearer ${await published.sign(keys.ES256.privateKey)}`, 'TOKEN_INVALID');
    const shared = new CompactSign(bytes).setProtectedHeader({ alg: 'HS256' });
    await expectRefusal(
      `Bearer ${await shared.sign(new TextEncoder().encode(SHARED_SECRET))}`,
      'TOKEN_INVALID',
    );
  });

  test.each<[string, object]>([
    ['alg', { alg: 7 }],
    ['alg', { alg: null }],
    ['alg', { alg: ['ES256'] }],
    ['kid', { alg: 'ES256', kid: { a: 1 } }],
    ['kid', { alg: 'ES256', kid: ['ES256'] }],
    ['crit', { alg: 'ES256', kid: 'ES256', crit: 'exp' }],
    ['crit', { alg: 'ES256', kid: 'ES256', crit: [7] }],
    ['b64', { alg: 'ES256', kid: 'ES256', crit: ['b64'], b64: 'no' }],
    ['b64', { alg: 'HS256', crit: ['b64'], b64: false }],
    ['header', []],
  ])('a token with an odd %s in its header (%j)', async (_name, header) => {
    sharedSecret = {
      read: async () => SHARED_SECRET,
      renew: async () => SHARED_SECRET,
      mayHaveMissed: () => false,
    };
    const [, payload, signature] = (await bearer()).split('.');
    const encoded = Buffer.from(JSON.stringify(header)).toString('base64url');
    await expectRefusal(`Bearer ${encoded}.${payload}.${signature}`, 'TOKEN_INVALID');
  });

  test.each(['', '.', 'a.b.c', '..', 'e30.e30.', 'null'])('the garbage %p', async (token) => {
    await expectRefusal(`Bearer ${token || '-'}`, 'TOKEN_INVALID');
  });

  test('a token whose payload was changed after signing', async () => {
    const [header, , signature] = (await bearer()).split('.');
    const forged = Buffer.from(JSON.stringify(claimsOf({ sub: 'somebody-else' }))).toString('base64url');
    await expectRefusal(`${header}.${forged}.${signature}`, 'TOKEN_INVALID');
  });

  test('a token signed with a key that is not published', async () => {
    const stranger = await generateKeyPair('ES256');
    await expectRefusal(`Bearer ${await sign({}, 'ES256', stranger.privateKey)}`, 'TOKEN_INVALID');
  });

  test('a token that is not signed at all', async () => {
    sharedSecret = {
      read: async () => SHARED_SECRET,
      renew: async () => SHARED_SECRET,
      mayHaveMissed: () => false,
    };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const alg of ['none', 'None', 'NONE']) {
      await expectRefusal(`Bearer ${encode({ alg, typ: 'JWT' })}.${encode(claimsOf({}))}.`, 'TOKEN_INVALID');
    }
  });

  test.each(['PS256', 'RS512'])(
    'a token signed with the algorithm %s, also by a published key',
    async (alg) => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      supabase.respond = json(200, { keys: [{ ...(await exportJWK(publicKey)), kid: alg }] });
      await expectRefusal(`Bearer ${await sign({}, alg, privateKey)}`, 'TOKEN_INVALID');
    },
  );

  test('any token while no key is published', async () => {
    supabase.respond = json(200, { keys: [] });
    await expectRefusal(await bearer(), 'TOKEN_INVALID');
  });

  test('a public key used as a shared secret', async () => {
    sharedSecret = {
      read: async () => SHARED_SECRET,
      renew: async () => SHARED_SECRET,
      mayHaveMissed: () => false,
    };
    const jwk = await exportJWK(keys.RS256.publicKey);
    for (const known of [await exportSPKI(keys.RS256.publicKey), JSON.stringify(jwk), jwk.n ?? '']) {
      for (const kid of ['ES256', 'RS256', undefined]) {
        await expectRefusal(`Bearer ${await signShared({}, known, kid)}`, 'TOKEN_INVALID');
      }
    }
  });
});

describe('a token signed with a shared secret', () => {
  test('is accepted on a project that has one', async () => {
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => null, mayHaveMissed: () => false };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
  });

  test('is refused on a project that has none', async () => {
    await expectRefusal(`Bearer ${await signShared({})}`, 'TOKEN_INVALID');
  });

  test('has its claims checked like any other', async () => {
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => null, mayHaveMissed: () => false };
    for (const changes of [{ iss: 'https://evil.example' }, { role: 'anon' }, { exp: secondsFromNow(-70) }]) {
      await expectRefusal(`Bearer ${await signShared(changes)}`, 'TOKEN_INVALID');
    }
  });

  test('is accepted with the renewed secret when the known one does not match', async () => {
    let renewals = 0;
    sharedSecret = {
      read: async () => 'the secret before it was rotated, which is long',
      renew: async () => {
        renewals += 1;
        return SHARED_SECRET;
      },
      mayHaveMissed: () => false,
    };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
    expect(renewals).toBe(1);
  });

  test('is accepted with a secret that was configured after the known value was read', async () => {
    sharedSecret = { read: async () => null, renew: async () => SHARED_SECRET, mayHaveMissed: () => false };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
  });

  test('is refused when there is no newer secret', async () => {
    const old = 'the secret before it was rotated, which is long';
    sharedSecret = { read: async () => old, renew: async () => old, mayHaveMissed: () => false };
    await expectRefusal(`Bearer ${await signShared({})}`, 'TOKEN_INVALID');
  });

  test('does not have the secret renewed when only a claim is wrong', async () => {
    const renew = jest.fn(async () => SHARED_SECRET);
    sharedSecret = { read: async () => SHARED_SECRET, renew, mayHaveMissed: () => false };
    await expectRefusal(`Bearer ${await signShared({ exp: secondsFromNow(-70) })}`, 'TOKEN_INVALID');
    expect(renew).not.toHaveBeenCalled();
  });

  test('cannot be judged while the secret cannot be read', async () => {
    const outage = new SecretError('SECRET_UNREADABLE', 'denied');
    sharedSecret = {
      read: () => Promise.reject(outage),
      renew: async () => null,
      mayHaveMissed: () => false,
    };
    await expect(authenticate(`Bearer ${await signShared({})}`, dependencies())).rejects.toBe(outage);
  });

  test('is what the secret is read for, and nothing else', async () => {
    const read = jest.fn(async () => SHARED_SECRET);
    sharedSecret = { read, renew: read, mayHaveMissed: () => false };
    await authenticate(await bearer(), dependencies());
    await expectRefusal(await bearer({ exp: secondsFromNow(-70) }), 'TOKEN_INVALID');
    expect(read).not.toHaveBeenCalled();
  });
});

describe('a token signed with a shared secret that is not the known one', () => {
  const old = 'the secret before it was rotated, which is long';

  test('cannot be judged when it was issued after the known one was read', async () => {
    const readAt = secondsFromNow(-60);
    sharedSecret = { read: async () => old, renew: async () => old, mayHaveMissed: (at) => at > readAt };
    await expectNoVerdict(`Bearer ${await signShared({ iat: secondsFromNow(-5) })}`);
    await expectRefusal(`Bearer ${await signShared({ iat: secondsFromNow(-90) })}`, 'TOKEN_INVALID');
  });

  test('is refused when its claims are wrong, whenever it was issued', async () => {
    sharedSecret = { read: async () => old, renew: async () => old, mayHaveMissed: () => true };
    const changes = { iat: secondsFromNow(-5), iss: 'https://evil.example/auth/v1' };
    await expectRefusal(`Bearer ${await signShared(changes)}`, 'TOKEN_INVALID');
  });
});

describe('a token signed with a key that is not known yet', () => {
  test('is accepted: the set is fetched again', async () => {
    await knowRs256Alone();
    await publish('ES256', 'RS256');
    expect(await authenticate(await bearer({ iat: secondsFromNow(0) }), dependencies())).toBe(USER);
    expect(supabase.requests).toHaveLength(2);
  });

  test('is accepted right after strangers have made up key ids', async () => {
    await knowRs256Alone();
    for (const kid of ['stranger-1', 'stranger-2', 'stranger-3']) {
      await authenticate(await forge(kid), dependencies()).catch(() => {});
    }
    await publish('ES256', 'RS256');
    expect(await authenticate(await bearer({ iat: secondsFromNow(0) }), dependencies())).toBe(USER);
  });

  test('cannot be judged while the set cannot be fetched', async () => {
    await knowRs256Alone();
    supabase.respond = html(502);
    await expectOutage(await bearer({ iat: secondsFromNow(0) }));
  });

  test('cannot be judged while the set that is served is older than the token', async () => {
    await knowRs256Alone(400);
    await expectNoVerdict(await bearer({ iat: secondsFromNow(-300) }));
    await expectRefusal(await bearer({ iat: secondsFromNow(-500) }), 'TOKEN_INVALID');
  });

  test('is refused when the set is newer than the token', async () => {
    await knowRs256Alone();
    await expectRefusal(await bearer({ iat: secondsFromNow(-30) }), 'TOKEN_INVALID');
  });

  test('is refused when its claims are wrong, however new it is', async () => {
    await knowRs256Alone(400);
    for (const changes of [
      { iss: 'https://other.supabase.co/auth/v1' },
      { aud: 'anon' },
      { exp: secondsFromNow(-70) },
    ]) {
      await expectRefusal(await bearer({ iat: secondsFromNow(-10), ...changes }), 'TOKEN_INVALID');
    }
  });

  test('is refused when it says that it was issued in the future, or not for a signed-in user', async () => {
    await knowRs256Alone(400);
    const iat = secondsFromNow(-10);
    for (const changes of [{ iat: secondsFromNow(90) }, { iat, role: 'anon' }, { iat, sub: '' }]) {
      await expectRefusal(await bearer(changes), 'TOKEN_INVALID');
    }
  });

  test('is refused when it does not say when it was issued', async () => {
    await knowRs256Alone(400);
    await expectRefusal(await bearer(), 'TOKEN_INVALID');
  });

  async function knowRs256Alone(ageSeconds = 0): Promise<void> {
    await publishAged(ageSeconds, 'RS256');
    await authenticate(await bearer({}, 'RS256'), dependencies());
  }

  async function forge(kid: string): Promise<string> {
    return `Bearer ${await sign({ iat: secondsFromNow(0) }, 'ES256', keys.ES256.privateKey, kid)}`;
  }
});

describe('the issuer', () => {
  test('may be any of those that the stage takes', async () => {
    const issuers = ['https://auth.example.com/auth/v1', 'https://project.supabase.co/auth/v1'];
    for (const iss of issuers) {
      expect(await authenticate(await bearer({ iss }), { ...dependencies(), issuers })).toBe(USER);
    }
    await expectRefusal(await bearer(), 'TOKEN_INVALID', { ...dependencies(), issuers });
  });
});

describe('a signed-in user may ask', () => {
  test.each<[string, JWTPayload]>([
    ['who is anonymous', { is_anonymous: true, amr: [{ method: 'anonymous', timestamp: 1 }] }],
    ['who has a second factor and has not given it in this session', { aal: 'aal1' }],
    ['who has given a second factor', { aal: 'aal2', amr: [{ method: 'totp', timestamp: 1 }] }],
  ])('%s', async (_name, claims) => {
    expect(await authenticate(await bearer(claims), dependencies())).toBe(USER);
  });
});

describe('a key set that cannot be fetched', () => {
  const faults = {
    'answered with 500': html(500),
    'answered with 404': json(404, { message: 'no Route matched' }),
    'not JSON': html(200),
    'not a key set': json(200, { jwks: [] }),
    'cut off': reset,
    'never answered': hang,
  };
  test.each(Object.entries(faults))('because it is %s says nothing about the token', async (_name, fault) => {
    supabase.respond = fault;
    const token = await bearer();
    await expectOutage(token);

    await publish('ES256');
    const later = Date.now() + 3_000;
    const clock = jest.spyOn(Date, 'now').mockReturnValue(later);
    expect(await authenticate(token, dependencies())).toBe(USER);
    clock.mockRestore();
  });

  test('because no server listens says nothing about the token', async () => {
    const gone = await FakeHttpServer.start();
    await gone.stop();
    signingKeys = new SupabaseSigningKeys(gone.url);
    await expectOutage(await bearer());
  });
});

function dependencies() {
  return { issuers: [`${supabase.url.origin}/auth/v1`], signingKeys, sharedSecret };
}

function forgetSigningKeys(): void {
  signingKeys = new SupabaseSigningKeys(supabase.url, { timeoutMilliseconds: 500 });
}

function publish(...algorithms: ('ES256' | 'RS256')[]): Promise<void> {
  return publishAged(0, ...algorithms);
}

/** Publishes keys as a cache does that has had the set for so many seconds. */
async function publishAged(ageSeconds: number, ...algorithms: ('ES256' | 'RS256')[]): Promise<void> {
  const published = algorithms.map(async (alg) => ({
    ...(await exportJWK(keys[alg].publicKey)),
    alg,
    kid: alg,
    use: 'sig',
  }));
  supabase.respond = json(
    200,
    { keys: await Promise.all(published) },
    { 'cache-control': 'public, max-age=600', age: String(ageSeconds) },
  );
}

function claimsOf(changes: JWTPayload): JWTPayload {
  return {
    iss: `${supabase.url.origin}/auth/v1`,
    aud: 'authenticated',
    role: 'authenticated',
    sub: USER,
    exp: secondsFromNow(3_600),
    ...changes,
  };
}

async function bearer(changes: JWTPayload = {}, algorithm: 'ES256' | 'RS256' = 'ES256'): Promise<string> {
  return `Bearer ${await sign(changes, algorithm, keys[algorithm].privateKey)}`;
}

function sign(
  changes: JWTPayload,
  alg: string,
  key: GenerateKeyPairResult['privateKey'],
  kid = alg,
): Promise<string> {
  return new SignJWT(claimsOf(changes)).setProtectedHeader({ alg, kid, typ: 'JWT' }).sign(key);
}

function signShared(changes: JWTPayload, secret = SHARED_SECRET, kid?: string): Promise<string> {
  return new SignJWT(claimsOf(changes))
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT', ...(kid !== undefined && { kid }) })
    .sign(new TextEncoder().encode(secret));
}

function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds;
}

async function expectRefusal(
  header: string | undefined,
  code: AuthenticationError['code'],
  withDependencies = dependencies(),
): Promise<void> {
  const error: unknown = await authenticate(header, withDependencies).catch((refusal: unknown) => refusal);
  expect(error).toBeInstanceOf(AuthenticationError);
  expect(error).toMatchObject({ code });
  const token = header?.split(' ')[1] ?? '';
  if (token.length > 10) {
    expect((error as Error).message).not.toContain(token);
  }
}

async function expectNoVerdict(header: string): Promise<void> {
  await expect(authenticate(header, dependencies())).rejects.toThrow(UnknownKeyError);
}

async function expectOutage(header: string): Promise<void> {
  await expect(authenticate(header, dependencies())).rejects.toMatchObject({ code: 'KEY_SET_UNAVAILABLE' });
}

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import {
  CompactSign,
  createRemoteJWKSet,
  exportJWK,
  exportSPKI,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWTPayload,
  type RemoteJWKSet,
  SignJWT,
} from 'jose';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import {
  AuthenticationError,
  authenticate,
  KeySetUnavailableError,
  type SharedSecret,
} from '../../../lambda/status/authentication.ts';
import { FakeHttpServer, hang, html, json, reset } from '../fakes/http-server.ts';

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const SHARED_SECRET = 'a shared secret of at least thirty-two characters';

let supabase: FakeHttpServer;
let keySet: RemoteJWKSet;
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
  forgetKeySet();
  sharedSecret = { read: async () => null, renew: async () => null };
});
afterEach(() => {
  jest.restoreAllMocks();
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
  test.each([undefined, '', 'Bearer', 'Bearer ', 'Basic dXNlcjpwYXNz', 'Bearer a b', 'token'])(
    'the header %p',
    async (header) => {
      await expectRefusal(header, 'TOKEN_MISSING');
      expect(supabase.requests).toHaveLength(0);
    },
  );
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
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => SHARED_SECRET };
    for (const odd of [value, ...(claim === 'exp' || claim === 'nbf' ? ['4102444800'] : [])]) {
      const changes = { [claim]: odd } as JWTPayload;
      await expectRefusal(await bearer(changes), 'TOKEN_INVALID');
      await expectRefusal(`Bearer ${await signShared(changes)}`, 'TOKEN_INVALID');
    }
  });

  test.each([null, 7, 'text', [], [1]])('a token whose payload is %j', async (payload) => {
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => SHARED_SECRET };
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
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => SHARED_SECRET };
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
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => SHARED_SECRET };
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
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => SHARED_SECRET };
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
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => null };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
  });

  test('is refused on a project that has none', async () => {
    await expectRefusal(`Bearer ${await signShared({})}`, 'TOKEN_INVALID');
  });

  test('has its claims checked like any other', async () => {
    sharedSecret = { read: async () => SHARED_SECRET, renew: async () => null };
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
    };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
    expect(renewals).toBe(1);
  });

  test('is accepted with a secret that was configured after the known value was read', async () => {
    sharedSecret = { read: async () => null, renew: async () => SHARED_SECRET };
    expect(await authenticate(`Bearer ${await signShared({})}`, dependencies())).toBe(USER);
  });

  test('is refused when there is no newer secret', async () => {
    const old = 'the secret before it was rotated, which is long';
    sharedSecret = { read: async () => old, renew: async () => old };
    await expectRefusal(`Bearer ${await signShared({})}`, 'TOKEN_INVALID');
  });

  test('does not have the secret renewed when only a claim is wrong', async () => {
    const renew = jest.fn(async () => SHARED_SECRET);
    sharedSecret = { read: async () => SHARED_SECRET, renew };
    await expectRefusal(`Bearer ${await signShared({ exp: secondsFromNow(-70) })}`, 'TOKEN_INVALID');
    expect(renew).not.toHaveBeenCalled();
  });

  test('cannot be judged while the secret cannot be read', async () => {
    const outage = new SecretError('SECRET_UNREADABLE', 'denied');
    sharedSecret = { read: () => Promise.reject(outage), renew: async () => null };
    await expect(authenticate(`Bearer ${await signShared({})}`, dependencies())).rejects.toBe(outage);
  });

  test('is what the secret is read for, and nothing else', async () => {
    const read = jest.fn(async () => SHARED_SECRET);
    sharedSecret = { read, renew: read };
    await authenticate(await bearer(), dependencies());
    await expectRefusal(await bearer({ exp: secondsFromNow(-70) }), 'TOKEN_INVALID');
    expect(read).not.toHaveBeenCalled();
  });
});

describe('a key id that is not in the known key set', () => {
  test('has the set fetched anew, at most once in 30 s', async () => {
    await publish('RS256');
    await authenticate(await bearer({}, 'RS256'), dependencies());
    await publish('ES256', 'RS256');

    await expectRefusal(await bearer({}, 'ES256'), 'TOKEN_INVALID');
    expect(supabase.requests).toHaveLength(1);

    letSecondsPass(31);
    expect(await authenticate(await bearer({}, 'ES256'), dependencies())).toBe(USER);
    const strangers = await Promise.all(
      [1, 2, 3].map(() => sign({}, 'ES256', keys.ES256.privateKey, 'unknown')),
    );
    for (const stranger of strangers) {
      await expectRefusal(`Bearer ${stranger}`, 'TOKEN_INVALID');
    }
    expect(supabase.requests).toHaveLength(2);
  });

  test('leaves the known keys in use when the set cannot be fetched anew', async () => {
    await authenticate(await bearer(), dependencies());
    supabase.respond = html(502);
    letSecondsPass(31);
    const unknown = `Bearer ${await sign({}, 'ES256', keys.ES256.privateKey, 'unknown')}`;
    await expect(authenticate(unknown, dependencies())).rejects.toThrow(KeySetUnavailableError);
    expect(await authenticate(await bearer(), dependencies())).toBe(USER);
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
    await expect(authenticate(token, dependencies())).rejects.toThrow(KeySetUnavailableError);

    await publish('ES256');
    expect(await authenticate(token, dependencies())).toBe(USER);
  });

  test('because nobody listens says nothing about the token', async () => {
    const gone = await FakeHttpServer.start();
    await gone.stop();
    keySet = createRemoteJWKSet(new URL('/auth/v1/.well-known/jwks.json', gone.url));
    await expect(authenticate(await bearer(), dependencies())).rejects.toThrow(KeySetUnavailableError);
  });
});

function dependencies() {
  return { supabaseUrl: supabase.url, keySet, sharedSecret };
}

function forgetKeySet(): void {
  keySet = createRemoteJWKSet(new URL('/auth/v1/.well-known/jwks.json', supabase.url), {
    timeoutDuration: 500,
    cacheMaxAge: Number.POSITIVE_INFINITY,
  });
}

async function publish(...algorithms: ('ES256' | 'RS256')[]): Promise<void> {
  const published = algorithms.map(async (alg) => ({
    ...(await exportJWK(keys[alg].publicKey)),
    alg,
    kid: alg,
    use: 'sig',
  }));
  supabase.respond = json(200, { keys: await Promise.all(published) });
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

/** The key set's cooldown is read from the wall clock. */
function letSecondsPass(seconds: number): void {
  const later = Date.now() + seconds * 1_000;
  jest.spyOn(Date, 'now').mockReturnValue(later);
}

async function expectRefusal(header: string | undefined, code: AuthenticationError['code']): Promise<void> {
  const error: unknown = await authenticate(header, dependencies()).catch((refusal: unknown) => refusal);
  expect(error).toBeInstanceOf(AuthenticationError);
  expect(error).toMatchObject({ code });
  const token = header?.split(' ')[1] ?? '';
  if (token.length > 10) {
    expect((error as Error).message).not.toContain(token);
  }
}

import { randomUUID } from 'node:crypto';
import {
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose';

/** The ways in which a Supabase project may sign user tokens: with a published key, or with the shared secret. */
export type TokenAlgorithm = 'ES256' | 'RS256' | 'HS256';

export interface UserTokens {
  /** The value of `iss`. */
  readonly issuer: string;
  /** The public keys, as served at `/auth/v1/.well-known/jwks.json`: current, standby, and previous ones. */
  keySet(): JSONWebKeySet;
  /**
   * Signs an access token as Supabase Auth would.
   *
   * @param claims override those of a user who has signed in with a password; an undefined claim is omitted
   * @see https://supabase.com/docs/guides/auth/jwt-fields
   */
  sign(claims: JWTPayload, options?: { algorithm?: TokenAlgorithm }): Promise<string>;
  /** Returns the claims of a token signed with any of the keys. @throws jose's error for any other token */
  verify(token: string): Promise<JWTPayload>;
  /** Signs ES256 tokens with the standby key, and publishes a new standby key. */
  rotate(): Promise<void>;
  /** Stops publishing the keys from before the last rotation. */
  revoke(): void;
}

type SigningKey = Awaited<ReturnType<typeof createSigningKey>>;

/** Creates new signing keys; tokens of an earlier run are not accepted. */
export async function createUserTokens(issuer: string, jwtSecret: string): Promise<UserTokens> {
  const sharedSecret = new TextEncoder().encode(jwtSecret);
  const rsaKey = await createSigningKey('RS256');
  let current = await createSigningKey('ES256');
  let standby = await createSigningKey('ES256');
  let previous: SigningKey[] = [];

  function keySet(): JSONWebKeySet {
    return { keys: [current, standby, ...previous, rsaKey].map(({ publicKey }) => publicKey) };
  }

  return {
    issuer,
    keySet,
    async sign(claims, { algorithm = 'ES256' } = {}) {
      const nowSeconds = Math.floor(Date.now() / 1000);
      const payload = {
        aal: 'aal1',
        amr: [{ method: 'password', timestamp: nowSeconds }],
        app_metadata: { provider: 'email', providers: ['email'] },
        aud: 'authenticated',
        email: '',
        exp: nowSeconds + 3600,
        iat: nowSeconds,
        is_anonymous: false,
        iss: issuer,
        phone: '',
        role: 'authenticated',
        session_id: randomUUID(),
        user_metadata: {},
        ...claims,
      };
      const token = new SignJWT(payload);
      if (algorithm === 'HS256') {
        return token.setProtectedHeader({ alg: algorithm, typ: 'JWT' }).sign(sharedSecret);
      }
      const { privateKey, keyId } = algorithm === 'ES256' ? current : rsaKey;
      return token.setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: keyId }).sign(privateKey);
    },
    async verify(token) {
      const findPublicKey = createLocalJWKSet(keySet());
      const { payload } = await jwtVerify(token, (header, jws) =>
        header.alg === 'HS256' ? sharedSecret : findPublicKey(header, jws),
      );
      return payload;
    },
    async rotate() {
      const next = await createSigningKey('ES256');
      previous = [current, ...previous];
      current = standby;
      standby = next;
    },
    revoke() {
      previous = [];
    },
  };
}

async function createSigningKey(algorithm: 'ES256' | 'RS256') {
  const { privateKey, publicKey } = await generateKeyPair(algorithm);
  const keyId = randomUUID();
  return {
    privateKey,
    keyId,
    publicKey: {
      ...(await exportJWK(publicKey)),
      kid: keyId,
      alg: algorithm,
      use: 'sig',
      key_ops: ['verify'],
    },
  };
}

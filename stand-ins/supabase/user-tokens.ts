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

/** How a Supabase project may sign user tokens: with a published key of its own, or with the shared secret. */
export type TokenAlgorithm = 'ES256' | 'RS256' | 'HS256';

export interface UserTokens {
  /** The public keys of the two asymmetric algorithms, as served at `/auth/v1/.well-known/jwks.json`. */
  readonly keySet: JSONWebKeySet;
  /**
   * Signs an access token as Supabase Auth would.
   *
   * @param claims add to `iss`, `aud`, `role`, `iat` and `exp` (in an hour) and override them; a claim that is
   *   undefined is left out
   */
  sign(claims: JWTPayload, options?: { algorithm?: TokenAlgorithm }): Promise<string>;
  /** Returns the claims of a token signed with any of the three. @throws jose's error for every other token */
  verify(token: string): Promise<JWTPayload>;
}

/** Creates new signing keys; tokens of an earlier run are not accepted. */
export async function createUserTokens(issuer: string, jwtSecret: string): Promise<UserTokens> {
  const signingKeys = {
    ES256: await createSigningKey('ES256'),
    RS256: await createSigningKey('RS256'),
    HS256: { privateKey: new TextEncoder().encode(jwtSecret), keyId: undefined },
  };
  const keySet = { keys: [signingKeys.ES256.publicKey, signingKeys.RS256.publicKey] };
  const findPublicKey = createLocalJWKSet(keySet);

  return {
    keySet,
    async sign(claims, { algorithm = 'ES256' } = {}) {
      const { privateKey, keyId } = signingKeys[algorithm];
      const nowSeconds = Math.floor(Date.now() / 1000);
      const payload = {
        iss: issuer,
        aud: 'authenticated',
        role: 'authenticated',
        iat: nowSeconds,
        exp: nowSeconds + 3600,
        ...claims,
      };
      return new SignJWT(payload)
        .setProtectedHeader({ alg: algorithm, typ: 'JWT', ...(keyId && { kid: keyId }) })
        .sign(privateKey);
    },
    async verify(token) {
      const { payload } = await jwtVerify(token, (header, jws) =>
        header.alg === 'HS256' ? signingKeys.HS256.privateKey : findPublicKey(header, jws),
      );
      return payload;
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

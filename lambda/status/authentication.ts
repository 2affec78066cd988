import { errors, type JWTVerifyOptions, jwtVerify, type RemoteJWKSet } from 'jose';
import { OperationalError } from '../connection/operational-error.ts';

/** The request does not say convincingly whose it is. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';
  readonly code: 'TOKEN_MISSING' | 'TOKEN_INVALID';

  /** @param reason for the log: our own words or jose's error code, never a part of the token */
  constructor(code: 'TOKEN_MISSING' | 'TOKEN_INVALID', reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.code = code;
  }
}

/** The keys that user tokens are verified with could not be fetched: nothing can be said about the token. */
export class KeySetUnavailableError extends OperationalError {
  override readonly name = 'KeySetUnavailableError';

  constructor(reason: string, options?: ErrorOptions) {
    super('KEY_SET_UNAVAILABLE', `Supabase's key set could not be fetched: ${reason}`, options);
  }
}

/** What HS256 tokens are verified with, on projects that still sign with a shared secret. */
export interface SharedSecret {
  /** The secret; null when none is configured. */
  read(): Promise<string | null>;
  /** The secret after a signature did not match the present one; null or the same when there is no newer. */
  renew(): Promise<string | null>;
}

/** What authentication works with. */
export type AuthenticationDependencies = {
  /** Address of the Supabase project. */
  readonly supabaseUrl: URL;
  /** The project's public keys, kept in memory; see {@link createRemoteJWKSet}. */
  readonly keySet: RemoteJWKSet;
  readonly sharedSecret: SharedSecret;
};

const ASYMMETRIC_ALGORITHMS = ['ES256', 'RS256'];
const SHARED_SECRET_ALGORITHMS = ['HS256'];
const CLOCK_TOLERANCE_SECONDS = 60;

/**
 * Verifies a Supabase user token: signature with a pinned algorithm, issuer, audience, role, expiry (60 s
 * tolerance). Which key is used never depends on what the token claims beyond its key id.
 *
 * @param authorization the Authorization header
 * @returns the user id; rejects with an {@link AuthenticationError}, or with a {@link KeySetUnavailableError} or
 *   SecretError when the keys are out of reach
 * @see https://supabase.com/docs/guides/auth/jwts
 */
export async function authenticate(
  authorization: string | undefined,
  { supabaseUrl, keySet, sharedSecret }: AuthenticationDependencies,
): Promise<string> {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    throw new AuthenticationError('TOKEN_MISSING', 'no bearer token');
  }
  const claims: JWTVerifyOptions = {
    issuer: new URL('/auth/v1', supabaseUrl).href,
    audience: 'authenticated',
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    requiredClaims: ['sub', 'exp'],
  };
  const { payload } = await verify(token, claims, keySet, sharedSecret).catch((error: unknown) => {
    throw explainRejection(error);
  });
  return readUserId(payload);
}

/** Read only after `explainRejection` has had its say: a claim of a surprising type must not pass for keys out of reach. */
function readUserId({ role, sub }: Readonly<Record<string, unknown>>): string {
  if (role !== 'authenticated' || typeof sub !== 'string' || sub === '') {
    throw new AuthenticationError('TOKEN_INVALID', 'not the token of a signed-in user');
  }
  return sub.toLowerCase();
}

async function verify(
  token: string,
  claims: JWTVerifyOptions,
  keySet: RemoteJWKSet,
  sharedSecret: SharedSecret,
) {
  try {
    return await jwtVerify(token, keySet, { ...claims, algorithms: ASYMMETRIC_ALGORITHMS });
  } catch (error) {
    const secret =
      error instanceof errors.JOSEAlgNotAllowed
        ? ((await sharedSecret.read()) ?? (await sharedSecret.renew()))
        : null;
    if (secret === null) {
      throw error;
    }
    return verifyWithSharedSecret(token, claims, secret, sharedSecret);
  }
}

async function verifyWithSharedSecret(
  token: string,
  claims: JWTVerifyOptions,
  secret: string,
  sharedSecret: SharedSecret,
) {
  const options = { ...claims, algorithms: SHARED_SECRET_ALGORITHMS };
  try {
    return await jwtVerify(token, new TextEncoder().encode(secret), options);
  } catch (error) {
    const newer = error instanceof errors.JWSSignatureVerificationFailed ? await sharedSecret.renew() : null;
    if (newer === null || newer === secret) {
      throw error;
    }
    return jwtVerify(token, new TextEncoder().encode(newer), options);
  }
}

function explainRejection(error: unknown): unknown {
  if (
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error instanceof TypeError
  ) {
    return new KeySetUnavailableError(error.name, { cause: error });
  }
  if (error instanceof errors.JOSEError) {
    // The bare error means that the key set was answered with something else than 200 and JSON.
    return error.code === 'ERR_JOSE_GENERIC'
      ? new KeySetUnavailableError(error.code, { cause: error })
      : new AuthenticationError('TOKEN_INVALID', error.code, { cause: error });
  }
  return error;
}

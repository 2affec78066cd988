import { errors, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify, UnsecuredJWT } from 'jose';
import { OperationalError } from '../connection/operational-error.ts';

/** The request does not prove whose it is. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';
  readonly code: 'TOKEN_MISSING' | 'TOKEN_INVALID';

  /** @param reason for the log: our own words or jose's error code, never a part of the token */
  constructor(code: 'TOKEN_MISSING' | 'TOKEN_INVALID', reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.code = code;
  }
}

/**
 * The token is signed with a key that may be newer than the known ones, and it is too early to fetch them again. It may be
 * valid or not.
 */
export class UnknownKeyError extends OperationalError<'SIGNING_KEY_UNKNOWN'> {
  override readonly name = 'UnknownKeyError';

  constructor(options: ErrorOptions) {
    super(
      'SIGNING_KEY_UNKNOWN',
      'the token may be signed with a key that is newer than the known ones',
      options,
    );
  }
}

/** The public keys of the Supabase project. */
export interface SigningKeys {
  /** Finds a token's key. Rejects with jose's `JWKSNoMatchingKey`, or with an OperationalError when no key is known. */
  readonly find: JWTVerifyGetKey;
  /** Whether a key that signed something at this time (seconds since 1970) may be newer than the known ones. */
  mayHaveMissed(issuedAtSeconds: number): boolean;
}

/** The secret that HS256 tokens are verified with, on projects that still sign with one. */
export interface SharedSecret {
  /** The secret; null if none is configured. */
  read(): Promise<string | null>;
  /** The secret after a signature did not match the current one; null or the same if there is no newer one. */
  renew(): Promise<string | null>;
  /** Whether a secret that signed something at this time (seconds since 1970) may be newer than the known one. */
  mayHaveMissed(issuedAtSeconds: number): boolean;
}

/** What authentication works with. */
export type AuthenticationDependencies = {
  /** Accepted values of `iss`. */
  readonly issuers: readonly string[];
  readonly signingKeys: SigningKeys;
  readonly sharedSecret: SharedSecret;
};

const ASYMMETRIC_ALGORITHMS = ['ES256', 'RS256'];
const SHARED_SECRET_ALGORITHMS = ['HS256'];
const CLOCK_TOLERANCE_SECONDS = 60;
const UNSECURED_HEADER = Buffer.from('{"alg":"none"}').toString('base64url');

/**
 * Verifies a Supabase user token: signature with a fixed algorithm, issuer, audience, role, expiry (60 s
 * tolerance). Apart from the key id, the token's claims never influence the choice of the key.
 *
 * Any signed-in user may ask for their own state, including anonymous users and users without a second factor
 * (`is_anonymous`, `aal`); see SECURITY.md.
 *
 * @param authorization the Authorization header
 * @returns the user id; rejects with an {@link AuthenticationError} if the token is invalid, and with an
 *   {@link UnknownKeyError} or another OperationalError if that cannot be decided
 * @see https://supabase.com/docs/guides/auth/jwts
 */
export async function authenticate(
  authorization: string | undefined,
  dependencies: AuthenticationDependencies,
): Promise<string> {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    throw new AuthenticationError('TOKEN_MISSING', 'no bearer token');
  }
  const claims: JWTVerifyOptions = {
    issuer: [...dependencies.issuers],
    audience: 'authenticated',
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    requiredClaims: ['sub', 'exp'],
  };
  try {
    const { payload } = await verify(token, claims, dependencies);
    return readUserId(payload);
  } catch (error) {
    throw error instanceof errors.JOSEError
      ? new AuthenticationError('TOKEN_INVALID', error.code, { cause: error })
      : error;
  }
}

function readUserId({ role, sub }: Readonly<Record<string, unknown>>): string {
  if (role !== 'authenticated' || typeof sub !== 'string' || sub === '') {
    throw new AuthenticationError('TOKEN_INVALID', 'not the token of a signed-in user');
  }
  return sub.toLowerCase();
}

async function verify(
  token: string,
  claims: JWTVerifyOptions,
  { signingKeys, sharedSecret }: AuthenticationDependencies,
) {
  try {
    return await jwtVerify(token, signingKeys.find, { ...claims, algorithms: ASYMMETRIC_ALGORITHMS });
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) {
      throw judgeUnverified(token, claims, signingKeys, error);
    }
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
    if (!(error instanceof errors.JWSSignatureVerificationFailed)) {
      throw error;
    }
    const newer = await sharedSecret.renew();
    if (newer === null || newer === secret) {
      throw judgeUnverified(token, claims, sharedSecret, error);
    }
    return jwtVerify(token, new TextEncoder().encode(newer), options);
  }
}

/**
 * The error for a token that no known key has signed. It is invalid if its claims are wrong, or if it was issued before
 * the keys were last fetched; otherwise its key may be new.
 */
function judgeUnverified(
  token: string,
  claims: JWTVerifyOptions,
  keys: { mayHaveMissed(issuedAtSeconds: number): boolean },
  failure: errors.JOSEError,
): Error {
  // jose checks only the claims, and throws if one is wrong.
  const { payload } = UnsecuredJWT.decode(`${UNSECURED_HEADER}.${token.split('.')[1]}.`, claims);
  readUserId(payload);
  const { iat = 0 } = payload;
  const isFromTheFuture = iat > Date.now() / 1_000 + CLOCK_TOLERANCE_SECONDS;
  return !isFromTheFuture && keys.mayHaveMissed(iat) ? new UnknownKeyError({ cause: failure }) : failure;
}

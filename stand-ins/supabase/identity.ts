import { errors, type JWTPayload } from 'jose';
import type { UserTokens } from './user-tokens.ts';

/** The caller: the database role of the request, and the claims that row level security sees. */
export interface Identity {
  readonly role: string;
  readonly claims: JWTPayload;
}

export interface ApiKeys {
  readonly publishableKey: string;
  readonly secretKey: string;
}

/** A request that is rejected before it reaches REST or Auth, with the platform's answer. */
export class RejectedRequestError extends Error {
  readonly status = 401;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(body: Readonly<Record<string, unknown>>) {
    super(String(body['message']));
    this.name = 'RejectedRequestError';
    this.body = body;
  }
}

/**
 * Identifies the caller from the headers `apikey` and `Authorization`, as Supabase's gateway and
 * PostgREST do together: every request needs an API key, and a user's token takes precedence over it.
 *
 * @throws RejectedRequestError if the key is missing or unknown, or the token is not valid
 */
export async function identify(headers: Headers, keys: ApiKeys, tokens: UserTokens): Promise<Identity> {
  const apiKey = headers.get('apikey');
  if (!apiKey) {
    throw new RejectedRequestError({
      message: 'No API key found in request',
      hint: 'No `apikey` request header or url param was found.',
    });
  }
  const keyIdentity = await identifyByKey(apiKey, keys, tokens);
  const bearerToken = /^Bearer (.+)$/i.exec(headers.get('authorization') ?? '')?.[1];
  const isUserToken = bearerToken !== undefined && bearerToken !== apiKey && !bearerToken.startsWith('sb_');
  return isUserToken ? identifyByToken(bearerToken, tokens) : keyIdentity;
}

async function identifyByKey(apiKey: string, keys: ApiKeys, tokens: UserTokens): Promise<Identity> {
  if (apiKey === keys.publishableKey) return { role: 'anon', claims: { role: 'anon' } };
  if (apiKey === keys.secretKey) return { role: 'service_role', claims: { role: 'service_role' } };
  try {
    // A legacy key is a token, signed with the project's secret, that names its role.
    return await identifyByToken(apiKey, tokens);
  } catch {
    throw new RejectedRequestError({
      message: 'Invalid API key',
      hint: 'Double check your Supabase `anon` or `service_role` API key.',
    });
  }
}

async function identifyByToken(token: string, tokens: UserTokens): Promise<Identity> {
  try {
    const claims = await tokens.verify(token);
    return { role: String(claims['role'] ?? 'anon'), claims };
  } catch (error) {
    const isExpired = error instanceof errors.JWTExpired;
    throw new RejectedRequestError({
      code: isExpired ? 'PGRST303' : 'PGRST301',
      details: null,
      hint: null,
      message: isExpired ? 'JWT expired' : 'No suitable key or wrong key type',
    });
  }
}

import * as v from 'valibot';
import { OperationalError } from '../connection/operational-error.ts';
import { getErrorName } from './error-name.ts';

const TIMEOUT_MILLISECONDS = 5_000;

const Configuration = v.object({ issuer: v.string() });
const KeySet = v.object({ keys: v.array(v.unknown()) });

/** What a Supabase project publishes about its user tokens. */
export type PublishedTokens = {
  /** What it writes into `iss`; null where it does not say: Supabase Auth before version 2.181. */
  readonly issuer: string | null;
  /** How many public keys tokens may be signed with; none on a project that signs with a shared secret. */
  readonly signingKeys: number;
};

/**
 * Reads what a Supabase project publishes about its user tokens. Rejects with an {@link OperationalError}
 * (`DISCOVERY_UNAVAILABLE`) when it does not answer as it should.
 *
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html
 */
export async function readPublishedTokens(supabaseUrl: URL): Promise<PublishedTokens> {
  const [configuration, keySet] = await Promise.all([
    readDocument(supabaseUrl, 'openid-configuration', Configuration),
    readDocument(supabaseUrl, 'jwks.json', KeySet),
  ]);
  if (keySet === null) {
    throw new OperationalError(
      'DISCOVERY_UNAVAILABLE',
      `${supabaseUrl.origin} has no key set: is it the address of a Supabase project?`,
    );
  }
  return { issuer: configuration?.issuer || null, signingKeys: keySet.keys.length };
}

/** Null: there is no such document. */
async function readDocument<Content>(
  supabaseUrl: URL,
  name: string,
  schema: v.GenericSchema<unknown, Content>,
): Promise<Content | null> {
  const url = new URL(`/auth/v1/.well-known/${name}`, supabaseUrl);
  try {
    const response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
    });
    if (response.status === 404) {
      await response.body?.cancel();
      return null;
    }
    const parsed = v.safeParse(schema, await response.json());
    if (response.status === 200 && parsed.success) {
      return parsed.output;
    }
    throw new OperationalError(
      'DISCOVERY_UNAVAILABLE',
      `${url.href} is answered with status ${response.status} and not what it should be`,
    );
  } catch (error) {
    if (error instanceof OperationalError) {
      throw error;
    }
    throw new OperationalError(
      'DISCOVERY_UNAVAILABLE',
      `${url.href} could not be read: ${getErrorName(error)}`,
      {
        cause: error,
      },
    );
  }
}

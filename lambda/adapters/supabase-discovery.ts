import * as v from 'valibot';
import { OperationalError } from '../connection/operational-error.ts';
import { describeFailedRequest, HttpRequests } from './http-requests.ts';

const TIMEOUT_MILLISECONDS = 5_000;

const LONGEST_BODY_BYTES = 1024 * 1024;

const Json = v.pipe(v.string(), v.parseJson());
const Configuration = v.pipe(Json, v.object({ issuer: v.string() }));
const KeySet = v.pipe(Json, v.object({ keys: v.array(v.unknown()) }));

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
    throw unavailable(`${supabaseUrl.origin} has no key set: is it the address of a Supabase project?`);
  }
  return { issuer: configuration?.issuer || null, signingKeys: keySet.keys.length };
}

/** Null: there is no such document. */
async function readDocument<Content>(
  supabaseUrl: URL,
  name: string,
  schema: v.GenericSchema<string, Content>,
): Promise<Content | null> {
  const requests = new HttpRequests(supabaseUrl, { longestBodyBytes: LONGEST_BODY_BYTES, isLenient: false });
  const path = `/auth/v1/.well-known/${name}`;
  const { status, text, failure } = await requests.send(
    { method: 'GET', path, headers: ['accept', 'application/json'], body: '' },
    TIMEOUT_MILLISECONDS,
  );
  const address = `${supabaseUrl.origin}${path}`;
  if (failure !== null) {
    throw unavailable(`${address} could not be read: ${describeFailedRequest(failure)}`, failure);
  }
  if (status === 404) {
    return null;
  }
  const parsed = v.safeParse(schema, text);
  if (status !== 200 || !parsed.success) {
    throw unavailable(`${address} is answered with status ${status} and not what it should be`);
  }
  return parsed.output;
}

function unavailable(message: string, cause?: unknown): OperationalError {
  return new OperationalError('DISCOVERY_UNAVAILABLE', message, { cause });
}

import * as v from 'valibot';
import { OperationalError } from '../connection/operational-error.ts';
import { describeFailedRequest, HttpRequests } from './http-requests.ts';

const TIMEOUT_MILLISECONDS = 5_000;

const LONGEST_BODY_BYTES = 1024 * 1024;

const Json = v.pipe(v.string(), v.parseJson());
const Configuration = v.pipe(Json, v.object({ issuer: v.string() }));
const KeySet = v.pipe(Json, v.object({ keys: v.array(v.unknown()) }));

/** The facts that a Supabase project publishes about its user tokens. */
export type PublishedTokens = {
  /** The value of `iss`; null if it is not published, as by Supabase Auth before version 2.181. */
  readonly issuer: string | null;
  /** The number of published signing keys; 0 if the project signs with a shared secret. */
  readonly signingKeys: number;
};

/**
 * Reads the facts that a Supabase project publishes about its user tokens. Rejects with an {@link OperationalError}
 * (`DISCOVERY_UNAVAILABLE`) if the answer is not valid.
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

/** Null: the document does not exist. */
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
    throw unavailable(`${address} answers with status ${status}, which is not valid`);
  }
  return parsed.output;
}

function unavailable(message: string, cause?: unknown): OperationalError {
  return new OperationalError('DISCOVERY_UNAVAILABLE', message, { cause });
}

import type { ConnectionAdministration } from '../connection/connection-administration.ts';
import { StoreError } from '../connection/connection-store.ts';
import { SecretError } from '../connection/secret-error.ts';
import type { ClientCheck } from '../connection/token-endpoint.ts';
import { askAboutClient } from './ask-about-client.ts';

/** The effect of writing a value into a secret. Contains no part of the values. */
export type SecretTrial = {
  /** `unknown`: the value could not be tested at the moment. */
  readonly answer: 'accepted' | 'refused' | 'unknown';
  /** The answer's source and reason. */
  readonly detail: string;
  /**
   * What works with the current value and would not with the new one: `client`, every grant, because grants belong to the
   * current client id; `jwt_secret`, user tokens that are signed with it.
   */
  readonly loses: 'client' | 'jwt_secret' | null;
};

type Present<Value> = { read(): Promise<Value> };

/** Compares a Spotify client with the current one, and asks Spotify about it. Rejects with a SecretError. */
export async function trySpotifyClient(
  candidate: { readonly client_id: string },
  present: Present<{ readonly client_id: string }>,
  clientCheck: ClientCheck,
): Promise<SecretTrial> {
  const current = await readUnlessUnusable(present);
  const loses = current !== null && current.client_id !== candidate.client_id ? 'client' : null;
  return { ...(await askAboutClient(clientCheck)), loses };
}

/** Compares a Supabase key with the current one, and calls the REST interface with it. Rejects with a SecretError. */
export async function trySupabaseKey(
  candidate: { readonly jwt_secret?: string | undefined },
  present: Present<{ readonly jwt_secret?: string | undefined }>,
  administration: Pick<ConnectionAdministration, 'statistics'>,
): Promise<SecretTrial> {
  const current = await readUnlessUnusable(present);
  const loses = current?.jwt_secret !== undefined && candidate.jwt_secret === undefined ? 'jwt_secret' : null;
  try {
    await administration.statistics();
    return { answer: 'accepted', detail: 'Supabase accepts the key', loses };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    switch (error.code) {
      case 'KEY_REJECTED':
        return { answer: 'refused', detail: 'Supabase rejects the key', loses };
      case 'STORE_UNAVAILABLE':
      case 'STORE_REFUSED':
        return { answer: 'unknown', detail: error.message, loses };
      default:
        // The key was accepted, because Supabase checks it before anything else.
        return { answer: 'accepted', detail: `Supabase accepts the key; ${error.message}`, loses };
    }
  }
}

/** Null: the current value cannot be in use. */
async function readUnlessUnusable<Value>(present: Present<Value>): Promise<Value | null> {
  try {
    return await present.read();
  } catch (error) {
    const isUnusable =
      error instanceof SecretError &&
      (error.code === 'SECRET_NOT_FILLED_IN' || error.code === 'SECRET_MALFORMED');
    if (!isUnusable) throw error;
    return null;
  }
}

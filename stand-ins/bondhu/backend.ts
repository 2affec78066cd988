import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import type { Supabase } from '../supabase/server.ts';

/** The columns of a connection that Bondhu's OAuth callback stores; null clears a column. Times are naive UTC, as it writes them. */
export interface StoredConnection {
  readonly spotify_access_token: string | null;
  readonly spotify_refresh_token: string | null;
  readonly spotify_token_expires_at: string | null;
  readonly spotify_user_id: string | null;
  readonly spotify_user_email: string | null;
  readonly spotify_connected_at: string | null;
}

/** A stand-in for the part of Bondhu's Python backend that writes tokens: through the REST API, with the secret key. */
export class BondhuBackend {
  readonly #supabase: SupabaseClient;

  constructor({ url, secretKey }: Pick<Supabase, 'url' | 'secretKey'>) {
    this.#supabase = createClient(url, secretKey, {
      auth: { persistSession: false, autoRefreshToken: false },
    });
  }

  /** Writes the given columns, as the callback does after the user's authorization. */
  async store(userId: string, columns: Partial<StoredConnection>): Promise<void> {
    const { error } = await this.#supabase.from('profiles').update(columns).eq('id', userId);
    if (error !== null) throw new Error(`the profile of ${userId} could not be written: ${error.message}`);
  }

  /** Clears all six columns, as Bondhu does when a user disconnects. */
  async disconnect(userId: string): Promise<void> {
    await this.store(userId, {
      spotify_access_token: null,
      spotify_refresh_token: null,
      spotify_token_expires_at: null,
      spotify_user_id: null,
      spotify_user_email: null,
      spotify_connected_at: null,
    });
  }
}

/** A time in the format of Bondhu's backend: ISO 8601 in UTC, without an offset. */
export function naiveUtc(time: Date): string {
  return time.toISOString().replace('Z', '');
}

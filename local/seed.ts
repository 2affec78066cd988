import { type BondhuBackend, naiveUtc } from '../stand-ins/bondhu/backend.ts';
import type { AccountsService } from '../stand-ins/spotify/accounts-service.ts';
import type { Supabase } from '../stand-ins/supabase/server.ts';

/** A state that connections have in real data, and what to expect of it. */
interface SampleState {
  readonly state: string;
  /** The answer of the first status call, for a person who tries it. */
  readonly expectation: string;
  /** Seconds until the stored access token expires; null: the expiry is unknown; absent: nothing is stored. */
  readonly expiresInSeconds?: number | null;
  readonly hasRefreshToken?: boolean;
  readonly isRevoked?: boolean;
  readonly monthsSinceAuthorization?: number;
  /** The authorization is this many days younger. */
  readonly butDays?: number;
}

const SAMPLE_STATES: readonly SampleState[] = [
  { state: 'fresh', expectation: 'connected, nothing to refresh', expiresInSeconds: 3_300 },
  {
    state: 'expiring',
    expectation: 'connected, auto_refreshed: true; the second time false',
    expiresInSeconds: 180,
  },
  { state: 'expired', expectation: 'connected, auto_refreshed: true', expiresInSeconds: -600 },
  {
    state: 'revoked',
    expectation: 'told to reconnect; now and then the function asks Spotify again',
    expiresInSeconds: -600,
    isRevoked: true,
  },
  {
    state: 'past-six-months',
    expectation: 'told to reconnect',
    expiresInSeconds: -600,
    monthsSinceAuthorization: 7,
  },
  {
    state: 'before-six-months',
    expectation: 'connected, reauthorize_by in a few days; a sweep sends an event about it',
    expiresInSeconds: 3_300,
    monthsSinceAuthorization: 6,
    butDays: 5,
  },
  {
    state: 'without-refresh-token',
    expectation: 'connected, degraded: true, until the token expires',
    expiresInSeconds: 1_800,
    hasRefreshToken: false,
  },
  { state: 'without-expiry', expectation: 'connected, auto_refreshed: true', expiresInSeconds: null },
  { state: 'never-connected', expectation: 'connected: false' },
];

/** A user who can sign in at the local Supabase. */
export interface SampleUser {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly state: string;
  readonly expectation: string;
}

/**
 * Creates one user in every state: signed up, and connected as Bondhu's callback would do it.
 *
 * @param signal stops after the user that is being created
 */
export async function seedUsers(
  supabase: Supabase,
  spotify: AccountsService,
  bondhu: BondhuBackend,
  signal?: AbortSignal,
): Promise<readonly SampleUser[]> {
  const users: SampleUser[] = [];
  for (const sample of SAMPLE_STATES) {
    signal?.throwIfAborted();
    const user = { email: `${sample.state}@example.com`, password: `password-of-${sample.state}` };
    const id = await supabase.createUser(user.email, user.password);
    if (sample.expiresInSeconds !== undefined) await connect(id, user.email, sample, spotify, bondhu);
    users.push({ id, ...user, state: sample.state, expectation: sample.expectation });
  }
  return users;
}

async function connect(
  userId: string,
  email: string,
  sample: SampleState,
  spotify: AccountsService,
  bondhu: BondhuBackend,
): Promise<void> {
  const authorizedAt = new Date();
  authorizedAt.setUTCMonth(authorizedAt.getUTCMonth() - (sample.monthsSinceAuthorization ?? 1));
  authorizedAt.setUTCDate(authorizedAt.getUTCDate() + (sample.butDays ?? 0));
  const grant = spotify.createGrant({ userId, authorizedAt: authorizedAt.toISOString() });
  if (sample.isRevoked) spotify.revokeGrants(userId);
  const { expiresInSeconds } = sample;
  await bondhu.store(userId, {
    spotify_access_token: grant.accessToken,
    spotify_refresh_token: sample.hasRefreshToken === false ? null : grant.refreshToken,
    spotify_token_expires_at:
      typeof expiresInSeconds === 'number' ? naiveUtc(new Date(Date.now() + expiresInSeconds * 1_000)) : null,
    spotify_user_id: grant.spotifyUserId,
    spotify_user_email: email,
    spotify_connected_at: naiveUtc(authorizedAt),
  });
}

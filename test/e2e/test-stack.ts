import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Stack, type StackOptions, startStack } from '../../local/stack.ts';
import { naiveUtc } from '../../stand-ins/bondhu/backend.ts';
import type { SpotifyClient } from '../../stand-ins/bondhu/oauth.ts';
import { copyTemplate, type DatabaseCopy } from '../supabase/shared-postgres.ts';
import type { TokenEndpoint } from './token-endpoint.ts';

/** A connection to create: what Bondhu's callback stored once, and what Spotify knows of the grant. */
export interface ConnectedUser {
  readonly id: string;
  readonly email: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly spotifyUserId: string;
}

/** A row of `profiles`. */
export type Profile = Readonly<Record<string, unknown>> & {
  readonly spotify_access_token: string | null;
  readonly spotify_refresh_token: string | null;
  readonly spotify_token_expires_at: Date | null;
};

/** Connections to create. */
export interface NewConnections {
  /** @default twenty minutes, within the sweep's window */
  readonly expiresInSeconds?: number;
  /** ISO 8601. @default now */
  readonly authorizedAt?: string;
}

export interface TestStackOptions extends Partial<StackOptions> {
  /** How long a sweep may take. @default - as the template says */
  readonly sweeperTimeoutSeconds?: number;
  /** Called by the functions, and stopped with the stack. @default - the stand-in for Spotify */
  readonly tokenEndpoint?: TokenEndpoint & { readonly client: SpotifyClient };
}

/** An answer of the status API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** When something happened to a connection, or is to happen. */
const CONNECTION_TIMES = [
  'expires_at',
  'due_at',
  'claimable_at',
  'attempted_at',
  'refreshed_at',
  'held_since',
  'verify_at',
  'reauthorization_required_since',
  'tokens_cleared_at',
  'announced_mark',
];

/** The running stack, and short words for what the end-to-end tests do with it. */
export class TestStack {
  readonly stack: Stack;
  /** The one that the functions call. */
  readonly tokenEndpoint: TokenEndpoint;
  /** Every line that the functions and the API have logged. */
  readonly logLines: string[];
  readonly #database: DatabaseCopy;
  readonly #pool: pg.Pool;
  readonly #cdkOutDirectory: string | undefined;

  private constructor(
    stack: Stack,
    database: DatabaseCopy,
    tokenEndpoint: TokenEndpoint,
    logLines: string[],
    cdkOutDirectory: string | undefined,
  ) {
    this.stack = stack;
    this.#database = database;
    this.tokenEndpoint = tokenEndpoint;
    this.logLines = logLines;
    this.#cdkOutDirectory = cdkOutDirectory;
    this.#pool = new pg.Pool({ connectionString: stack.database.ownerUrl });
    // Faults end connections, idle ones among them.
    this.#pool.on('error', () => {});
  }

  static async start({
    sweeperTimeoutSeconds,
    tokenEndpoint,
    ...options
  }: TestStackOptions = {}): Promise<TestStack> {
    const logLines: string[] = [];
    const shorterSweeps =
      sweeperTimeoutSeconds === undefined ? undefined : copyWithShorterSweeps(sweeperTimeoutSeconds);
    const database = await copyTemplate('migrated');
    const stack = await startStack({
      cdkOutDirectory: shorterSweeps ?? process.env['SYNTHESIZED_STACK'] ?? '',
      database,
      hasSampleUsers: false,
      onLog: (_source, line) => logLines.push(line),
      onProgress: () => {},
      ...(tokenEndpoint && {
        spotifyTokenUrl: tokenEndpoint.tokenUrl,
        spotifyClient: tokenEndpoint.client,
      }),
      ...options,
    });
    return new TestStack(stack, database, tokenEndpoint ?? stack.spotify, logLines, shorterSweeps);
  }

  async stop(): Promise<void> {
    await this.#pool.end();
    await this.stack.stop();
    await this.#database.drop();
    if (this.tokenEndpoint !== this.stack.spotify) await this.tokenEndpoint.stop();
    if (this.#cdkOutDirectory !== undefined) rmSync(this.#cdkOutDirectory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Runs SQL as the owner of Bondhu's tables. */
  async sql<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(text, [...values])).rows;
  }

  async profile(userId: string): Promise<Profile> {
    return (await this.sql<Profile>('select * from public.profiles where id = $1', [userId]))[0] as Profile;
  }

  /** By user. */
  async profilesOf(ids: readonly string[]): Promise<Map<string, Profile>> {
    const rows = await this.sql<Profile & { readonly id: string }>(
      'select * from public.profiles where id = any ($1)',
      [ids],
    );
    return new Map(rows.map((profile) => [profile.id, profile]));
  }

  /**
   * Those of the users who lack something: a stored access token that Spotify accepts and that is good for fifty
   * minutes or more, and a refresh token that works.
   */
  async withoutFreshToken(ids: readonly string[]): Promise<string[]> {
    const { spotify } = this.stack;
    const profiles = await this.profilesOf(ids);
    return ids.filter((id) => {
      const profile = profiles.get(id);
      return (
        !spotify.acceptsAccessToken(profile?.spotify_access_token ?? '') ||
        !spotify.inspectRefreshToken(profile?.spotify_refresh_token ?? '')?.isAlive ||
        (profile?.spotify_token_expires_at?.getTime() ?? 0) < Date.now() + 50 * 60_000
      );
    });
  }

  /** Users whose grant is marked dead, by id. */
  async usersToldToReconnect(): Promise<string[]> {
    const rows = await this.sql<{ user_id: string }>(
      'select user_id from spotify_auth.connections where reauthorization_required_since is not null order by user_id',
    );
    return rows.map(({ user_id }) => user_id);
  }

  async dueCount(): Promise<number> {
    const [row] = await this.sql<{ due: string }>("select public.spotify_due_count('40 minutes') as due");
    return Number(row?.due);
  }

  /** Creates a user without a password who connected Spotify a month ago. */
  async createConnectedUser(
    expiresInSeconds: number,
    email = `${randomUUID()}@example.com`,
  ): Promise<ConnectedUser> {
    const id = randomUUID();
    await this.sql('insert into auth.users (id, email) values ($1, $2)', [id, email]);
    return { id, email, ...(await this.reconnect(id, email, expiresInSeconds)) };
  }

  /**
   * Lets many users connect at once.
   *
   * @param users how many, or their ids
   * @returns their ids
   */
  async createDueConnections(
    users: number | readonly string[],
    connections: NewConnections = {},
  ): Promise<string[]> {
    const ids = typeof users === 'number' ? Array.from({ length: users }, () => randomUUID()) : [...users];
    await this.sql('insert into auth.users (id) select unnest($1::uuid[])', [ids]);
    await this.authorizeMany(ids, connections);
    return ids;
  }

  /** Gives each of these users a new grant. */
  async authorizeMany(
    ids: readonly string[],
    { expiresInSeconds = 20 * 60, authorizedAt = new Date().toISOString() }: NewConnections = {},
  ): Promise<void> {
    const grants = await Promise.all(
      ids.map((userId) => this.tokenEndpoint.createGrant({ userId, authorizedAt })),
    );
    await this.sql(
      `update public.profiles p set spotify_access_token = g.access, spotify_refresh_token = g.refresh,
         spotify_token_expires_at = now() + make_interval(secs => $4), spotify_connected_at = $5
       from unnest($1::uuid[], $2::text[], $3::text[]) as g (id, access, refresh) where p.id = g.id`,
      [
        ids,
        grants.map((grant) => grant.accessToken),
        grants.map((grant) => grant.refreshToken),
        expiresInSeconds,
        authorizedAt,
      ],
    );
  }

  /**
   * Moves all that is stored into the past, as if hours had gone by for everybody: tokens run out, leases lapse,
   * waiting is over. That is longer than the window of the revocation breaker, which has forgotten what it counted.
   */
  async letHoursPass(hours: number): Promise<void> {
    await this.#pool.query(`
      begin;
      select set_config('spotify_auth.own_write', 'on', true);
      update public.profiles set spotify_token_expires_at = spotify_token_expires_at - interval '${hours} hours';
      update spotify_auth.connections set ${CONNECTION_TIMES.map(
        (column) => `${column} = ${column} - interval '${hours} hours'`,
      )};
      update spotify_auth.shared_state set not_before = not_before - interval '${hours} hours',
        breaker_opened_at = breaker_opened_at - interval '${hours} hours',
        breaker_closed_at = breaker_closed_at - interval '${hours} hours',
        events_since = events_since - interval '${hours} hours';
      delete from spotify_auth.refreshes_by_minute;
      commit`);
  }

  /** Authorizes again, as far as Bondhu's callback and Spotify see it. */
  async reconnect(
    userId: string,
    email: string,
    expiresInSeconds: number,
  ): Promise<Omit<ConnectedUser, 'id' | 'email'>> {
    const authorizedAt = new Date(Date.now() - 30 * 24 * 60 * 60 * 1_000);
    const grant = await this.tokenEndpoint.createGrant({
      userId,
      authorizedAt: authorizedAt.toISOString(),
    });
    await this.stack.bondhu.store(userId, {
      spotify_access_token: grant.accessToken,
      spotify_refresh_token: grant.refreshToken,
      spotify_token_expires_at: naiveUtc(new Date(Date.now() + expiresInSeconds * 1_000)),
      spotify_user_id: grant.spotifyUserId,
      spotify_user_email: email,
      spotify_connected_at: naiveUtc(authorizedAt),
    });
    return grant;
  }

  /** The user's access token, as Supabase Auth signs it. */
  userToken(
    userId: string,
    claims: Record<string, unknown> = {},
    algorithm: 'ES256' | 'RS256' | 'HS256' = 'ES256',
  ) {
    return this.stack.supabase.signUserToken({ sub: userId, ...claims }, { algorithm });
  }

  /** Calls the status API, by default as the user asked about. */
  async status(
    userId: string,
    headers?: Record<string, string>,
    path = '/api/v1/agents/music/status',
  ): Promise<Answer> {
    const sent = headers ?? { authorization: `Bearer ${await this.userToken(userId)}` };
    return this.request(`${path}/${userId}`, { headers: sent });
  }

  async request(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.stack.cloud.apiUrl + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    };
  }

  /** Invokes the sweeper. */
  async sweep(
    event: unknown = { command: 'sweep' },
  ): Promise<{ functionError: string | undefined; result: Record<string, unknown> }> {
    const { SweeperFunctionName = '' } = this.stack.cloud.template.outputs;
    const { payload, functionError } = await this.stack.cloud.lambda.invoke(SweeperFunctionName, event);
    return { functionError, result: JSON.parse(payload) };
  }

  /** Calls that Spotify has seen for a user. */
  spotifyCallsFor(userId: string) {
    return this.stack.spotify.calls.filter((call) => call.userId === userId);
  }
}

/** The synthesized stack as it is, but for the time that a sweep has. @returns its directory */
function copyWithShorterSweeps(timeoutSeconds: number): string {
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-cdk-'));
  cpSync(process.env['SYNTHESIZED_STACK'] ?? '', directory, { recursive: true });
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.template.json'))) {
    const file = join(directory, name);
    const template = readFileSync(file, 'utf8');
    const shorter = template
      .replace('"Timeout": 900', `"Timeout": ${timeoutSeconds}`)
      .replace('"SWEEPER_TIMEOUT_SECONDS": "900"', `"SWEEPER_TIMEOUT_SECONDS": "${timeoutSeconds}"`);
    writeFileSync(file, shorter);
  }
  return directory;
}

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { naiveUtc } from '../../local/bondhu-backend.ts';
import { type Stack, type StackOptions, startStack } from '../../local/stack.ts';

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

/** An answer of the status API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** The running stack, and short words for what the end-to-end tests do with it. */
export class TestStack {
  readonly stack: Stack;
  /** Every line that the functions and the API have logged. */
  readonly logLines: string[];
  readonly #pool: pg.Pool;

  private constructor(stack: Stack, logLines: string[]) {
    this.stack = stack;
    this.logLines = logLines;
    this.#pool = new pg.Pool({ connectionString: stack.database.ownerUrl });
  }

  static async start(options: Partial<StackOptions> = {}): Promise<TestStack> {
    const logLines: string[] = [];
    const stack = await startStack({
      cdkOutDirectory: process.env['SYNTHESIZED_STACK'] ?? '',
      onLog: (_source, line) => logLines.push(line),
      onProgress: () => {},
      ...options,
    });
    return new TestStack(stack, logLines);
  }

  async stop(): Promise<void> {
    await this.#pool.end();
    await this.stack.stop();
  }

  /** Runs SQL as the owner of Bondhu's tables. */
  async sql<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(text, [...values])).rows;
  }

  async profile(userId: string): Promise<Profile> {
    return (await this.sql<Profile>('select * from public.profiles where id = $1', [userId]))[0] as Profile;
  }

  async dueCount(): Promise<number> {
    const [row] = await this.sql<{ due: string }>("select public.spotify_due_count('40 minutes') as due");
    return Number(row?.due);
  }

  /** Signs a user up who connected Spotify a month ago. */
  async createConnectedUser(
    expiresInSeconds: number,
    email = `${randomUUID()}@example.com`,
  ): Promise<ConnectedUser> {
    const id = await this.stack.supabase.createUser(email, 'a password that nobody guesses');
    return { id, email, ...(await this.reconnect(id, email, expiresInSeconds)) };
  }

  /** Lets many users connect at once, with tokens that expire within the sweep's window. @returns their ids */
  async createDueConnections(count: number): Promise<string[]> {
    const rows = await this.sql<{ id: string }>(
      'insert into auth.users (id) select gen_random_uuid() from generate_series(1, $1) returning id',
      [count],
    );
    const ids = rows.map(({ id }) => id);
    await this.authorizeMany(ids);
    return ids;
  }

  /** Gives each of these users a new grant whose token expires within the sweep's window. */
  async authorizeMany(ids: readonly string[]): Promise<void> {
    const grants = ids.map((userId) => this.stack.spotify.createGrant({ userId }));
    await this.sql(
      `update public.profiles p set spotify_access_token = g.access, spotify_refresh_token = g.refresh,
         spotify_token_expires_at = now() + interval '20 minutes', spotify_connected_at = now()
       from unnest($1::uuid[], $2::text[], $3::text[]) as g (id, access, refresh) where p.id = g.id`,
      [ids, grants.map((grant) => grant.accessToken), grants.map((grant) => grant.refreshToken)],
    );
  }

  /** Authorizes again, as far as Bondhu's callback and Spotify see it. */
  async reconnect(
    userId: string,
    email: string,
    expiresInSeconds: number,
  ): Promise<Omit<ConnectedUser, 'id' | 'email'>> {
    const authorizedAt = new Date(Date.now() - 30 * 24 * 60 * 60 * 1_000);
    const grant = this.stack.spotify.createGrant({ userId, authorizedAt: authorizedAt.toISOString() });
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
    event: unknown = {},
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

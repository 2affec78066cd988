import { randomUUID } from 'node:crypto';
import pg from 'pg';
import {
  applyMigrations,
  type BondhuDatabase,
  createBondhuDatabase,
} from '../../stand-ins/supabase/bondhu-database.ts';
import { connectToPostgres } from '../../stand-ins/supabase/external-postgres.ts';
import {
  type Postgres,
  settingsWithoutDurability,
  startPostgres,
} from '../../stand-ins/supabase/postgres.ts';
import { copyTemplate, type Template } from './shared-postgres.ts';

/** A placeholder for a unique refresh token: `tokenOf` the user. */
export const ownToken = '<own>';

/** The refresh token that a user got by `ownToken`. */
export function tokenOf(userId: string): string {
  return `refresh-${userId}`;
}

/** The `spotify_*` columns of a profile; times as SQL understands them. */
export type SpotifyColumns = {
  readonly access?: string | null;
  readonly refresh?: string | null;
  /** Seconds from now, or a literal timestamp. */
  readonly expires?: number | string | null;
  readonly connectedAt?: string | null;
};

export type Json = Record<string, unknown>;

/** A claim or a lease as the functions return it. */
export type LeaseRow = {
  readonly user_id: string;
  readonly lease_id: string;
  readonly leased_at: string;
  readonly refresh_token: string;
  readonly seconds_left: number | null;
  readonly failures: number;
};

/** A transaction that holds locks until it is told to commit. */
export type OpenTransaction = { readonly commit: () => Promise<void> };

/** What spotify_record answers. */
export type Recorded = {
  readonly verdicts: readonly {
    readonly user_id: string;
    readonly lease_id: string;
    readonly verdict: string;
  }[];
  readonly not_before_in: number | null;
  readonly breaker_is_open: boolean;
};

/** The server that `DATABASE_URL` names, so that the suite can run on another version; else one of this file's own. */
export function openPostgres(): Promise<Postgres> {
  const url = process.env['DATABASE_URL'];
  return url === undefined
    ? startPostgres({ inMemory: true, settings: settingsWithoutDurability })
    : connectToPostgres(url);
}

interface TestDatabaseOptions {
  /** @default 'new' */
  readonly defaultPrivileges?: 'old' | 'new';
  /** `false` leaves the database as it is before this project's migrations. @default true */
  readonly migrated?: boolean;
  /**
   * Whether to have a server alone, for tests that change a role, read the server's log or count pages. `DATABASE_URL` names
   * the server in any case.
   * @default false: one database on the server that all files share
   */
  readonly ownServer?: boolean;
}

/** A real PostgreSQL server with Bondhu's schema and the migrations, and short words for what tests do with it. */
export class TestDatabase {
  readonly urls: BondhuDatabase;
  readonly #remove: () => Promise<void>;
  readonly #pools = new Map<string, pg.Pool>();
  readonly #holders = new Set<pg.PoolClient>();

  private constructor(urls: BondhuDatabase, remove: () => Promise<void>) {
    this.urls = urls;
    this.#remove = remove;
  }

  static async start({
    defaultPrivileges = 'new',
    migrated = true,
    ownServer = process.env['DATABASE_URL'] !== undefined,
  }: TestDatabaseOptions = {}): Promise<TestDatabase> {
    if (!ownServer && migrated && defaultPrivileges === 'new') return TestDatabase.#copy('migrated');
    const database = ownServer
      ? await TestDatabase.#createOnOwnServer(defaultPrivileges)
      : await TestDatabase.#copy(defaultPrivileges);
    if (migrated) await database.migrate();
    return database;
  }

  static async #copy(template: Template): Promise<TestDatabase> {
    const copy = await copyTemplate(template);
    return new TestDatabase(copy, copy.drop);
  }

  static async #createOnOwnServer(defaultPrivileges: 'old' | 'new'): Promise<TestDatabase> {
    const postgres = await openPostgres();
    const name = `bondhu_${randomUUID().replaceAll('-', '_')}`;
    return new TestDatabase(await createBondhuDatabase(postgres, { name, defaultPrivileges }), () =>
      postgres.stop(),
    );
  }

  /** Removes every user, and with them their profiles and connections; ends what a failed test has left open. */
  async clear(): Promise<void> {
    this.#endHolders();
    await this.owner(
      'truncate auth.users, spotify_auth.shared_state, spotify_auth.refreshes_by_minute cascade',
    );
    await this.#believeRevocations();
  }

  migrate(): Promise<void> {
    return applyMigrations(this.urls.ownerUrl);
  }

  async stop(): Promise<void> {
    this.#endHolders();
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
    await this.#remove();
  }

  /** Runs SQL as the owner of Bondhu's schema. */
  async owner<Row extends object = Json>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#pool(this.urls.ownerUrl).query<Row>(sql, [...values])).rows;
  }

  /** As `owner`, for what is asked again and again: planned once, under a name. */
  async prepared<Row extends object>(name: string, sql: string): Promise<Row[]> {
    return (await this.#pool(this.urls.ownerUrl).query<Row>({ name, text: sql })).rows;
  }

  /** Runs SQL as the superuser with triggers bypassed, as a restore does. */
  async bypassingTriggers(sql: string, values: readonly unknown[] = []): Promise<void> {
    await this.#poolBypassingTriggers().query(sql, [...values]);
  }

  /** Runs SQL as a signed-in user, as PostgREST does for the frontend. */
  asUser<Row extends object = Json>(
    id: string,
    sql: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    return this.#inTransaction(this.urls.authenticatorUrl, async (client) => {
      await client.query('set local role authenticated');
      await client.query(`select set_config('request.jwt.claims', $1, true)`, [
        JSON.stringify({ sub: id, role: 'authenticated' }),
      ]);
      return (await client.query<Row>(sql, [...values])).rows;
    });
  }

  /** Begins a transaction as the owner, runs SQL in it and leaves it open: whatever it locked stays locked. */
  async hold(sql: string, values: readonly unknown[] = []): Promise<OpenTransaction> {
    const client = await this.connect(this.urls.ownerUrl);
    this.#holders.add(client);
    await client.query('begin');
    await client.query(sql, [...values]);
    return {
      commit: async () => {
        await client.query('commit');
        this.#holders.delete(client);
        client.release();
      },
    };
  }

  /** Calls one of the functions as service_role, named arguments as PostgREST passes them. */
  async call<Result>(name: string, parameters: Json = {}): Promise<Result> {
    const names = Object.keys(parameters);
    const list = names.map((parameter, index) => `${parameter} => $${index + 1}`).join(', ');
    const values = names.map((parameter) => {
      const value = parameters[parameter];
      return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
    });
    const sql = `select public.${name}(${list}) as result`;
    const { rows } = await this.#pool(this.urls.serviceRoleUrl).query<{ result: Result }>(sql, values);
    return (rows[0] as { result: Result }).result;
  }

  /** A connection of its own, as the given URL's role; the caller releases it. */
  connect(url: string): Promise<pg.PoolClient> {
    return this.#pool(url).connect();
  }

  /** Signs a user up, which creates the profile, and writes the columns as Bondhu's backend does. */
  async createUser(columns: SpotifyColumns = {}): Promise<string> {
    const id = randomUUID();
    await this.owner('insert into auth.users (id) values ($1)', [id]);
    if (Object.keys(columns).length > 0) {
      await this.writeProfile(id, columns);
    }
    return id;
  }

  /** Writes all columns that are given, as an outside writer. */
  async writeProfile(id: string, columns: SpotifyColumns): Promise<void> {
    const assignments: string[] = [];
    const values: unknown[] = [id];
    const assign = (column: string, value: unknown, expression = (place: string) => place) => {
      if (value !== undefined) {
        values.push(value);
        assignments.push(`${column} = ${expression(`$${values.length}`)}`);
      }
    };
    assign('spotify_access_token', columns.access);
    assign('spotify_refresh_token', columns.refresh === ownToken ? tokenOf(id) : columns.refresh);
    assign('spotify_connected_at', columns.connectedAt);
    assign('spotify_token_expires_at', columns.expires, (place) =>
      typeof columns.expires === 'number' ? `now() + make_interval(secs => ${place})` : place,
    );
    await this.owner(`update public.profiles set ${assignments.join(', ')} where id = $1`, values);
  }

  /** The profile and the queue row as they lie on disk: equal only if neither was written, not even with the same values. */
  async rowsOnDisk(id: string): Promise<Json> {
    const [profile] = await this.owner('select xmin, ctid, * from public.profiles where id = $1', [id]);
    const [connection] = await this.owner(
      'select xmin, ctid, * from spotify_auth.connections where user_id = $1',
      [id],
    );
    return { profile, connection };
  }

  async profile(id: string): Promise<Json | undefined> {
    return (await this.owner('select * from public.profiles where id = $1', [id]))[0];
  }

  async connection(id: string): Promise<Json | undefined> {
    return (await this.owner('select * from spotify_auth.connections where user_id = $1', [id]))[0];
  }

  check(
    id: string,
    refreshWithin: string | null = '5 minutes',
    lease = '15 seconds',
  ): Promise<Json & { lease: LeaseRow | null }> {
    return this.call('spotify_check_connection', { for_user: id, refresh_within: refreshWithin, lease });
  }

  claim(overrides: Json = {}): Promise<{
    due_up_to: string | null;
    claims: LeaseRow[];
    calls_start_in: number;
    next_claim_in: number | null;
    not_before_in: number | null;
  }> {
    return this.call('spotify_claim_due', {
      batch_size: 100,
      refresh_within: '40 minutes',
      lease: '5 minutes',
      sweep_age: '0 seconds',
      ...overrides,
    });
  }

  /** Records one outcome for a lease and returns the verdict. */
  async record(lease: LeaseRow, outcome: Json): Promise<string> {
    const result = {
      user_id: lease.user_id,
      lease_id: lease.lease_id,
      leased_at: lease.leased_at,
      ...outcome,
    };
    return (await this.recordAll([result])).verdicts[0]?.verdict ?? '';
  }

  /** Records outcomes as they are. */
  recordAll(results: readonly Json[]): Promise<Recorded> {
    return this.call('spotify_record', { results });
  }

  /** Moves everything that is stored about a connection into the past, as if so much time had gone by. */
  letTimePass(id: string, interval: string): Promise<void> {
    return this.#moveIntoThePast(interval, id);
  }

  /** As `letTimePass`, for every connection at once and for what the breaker judges by. */
  async letTimePassForAll(interval: string): Promise<void> {
    await this.#moveIntoThePast(interval, null);
    await this.owner(
      // Sorted, so that all are gone before the first is back: they could meet each other.
      `with moved as (delete from spotify_auth.refreshes_by_minute returning *)
      insert into spotify_auth.refreshes_by_minute (minute, refreshes)
        select minute - $1::interval, refreshes from moved order by minute`,
      [interval],
    );
  }

  /** @param id null: every connection */
  async #moveIntoThePast(interval: string, id: string | null): Promise<void> {
    await this.#poolBypassingTriggers().query({
      name: 'move into the past',
      text: `with profile as (
        update public.profiles set spotify_token_expires_at = spotify_token_expires_at - $1::interval
        where $2::uuid is null or id = $2
      ), changes as (
        update spotify_auth.changes set changed_at = changed_at - $1::interval where $2::uuid is null or user_id = $2
      ), shared_state as (
        update spotify_auth.shared_state set not_before = not_before - $1::interval,
          breaker_opened_at = case when $2::uuid is null then breaker_opened_at - $1::interval else breaker_opened_at end,
          breaker_closed_at = case when $2::uuid is null then breaker_closed_at - $1::interval else breaker_closed_at end
      )
      update spotify_auth.connections set expires_at = expires_at - $1::interval,
        claimable_at = claimable_at - $1::interval, due_at = due_at - $1::interval,
        attempted_at = attempted_at - $1::interval, refreshed_at = refreshed_at - $1::interval,
        held_since = held_since - $1::interval, verify_at = verify_at - $1::interval,
        reauthorization_required_since = reauthorization_required_since - $1::interval
      where $2::uuid is null or user_id = $2`,
      values: [interval, id],
    });
  }

  /** Says how many connections the breaker takes its shares of, and how many refreshes of the last hour it knows. */
  async populate(population: number, refreshes: number): Promise<void> {
    await this.owner(
      `insert into spotify_auth.shared_state (population) values ($1)
        on conflict (singleton) do update set population = excluded.population`,
      [population],
    );
    await this.owner('delete from spotify_auth.refreshes_by_minute');
    await this.owner(
      "insert into spotify_auth.refreshes_by_minute values (date_trunc('minute', now()), $1)",
      [refreshes],
    );
  }

  /** Lets the breaker know of so many living connections that a test about something else cannot open it. */
  #believeRevocations(): Promise<void> {
    return this.populate(1_000_000, 1_000_000);
  }

  #endHolders(): void {
    for (const client of this.#holders) client.release(true);
    this.#holders.clear();
  }

  async #inTransaction<Result>(
    url: string,
    work: (client: pg.PoolClient) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.connect(url);
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  #poolBypassingTriggers(): pg.Pool {
    const url = new URL(this.urls.superuserUrl);
    url.searchParams.set('options', '-c session_replication_role=replica');
    return this.#pool(url.href);
  }

  #pool(url: string): pg.Pool {
    let pool = this.#pools.get(url);
    if (pool === undefined) {
      pool = new pg.Pool({ connectionString: url, max: 20 });
      // `end` does not wait for the farewell of idle connections: the server may end them first.
      pool.on('error', () => {});
      this.#pools.set(url, pool);
    }
    return pool;
  }
}

/** A refreshed outcome with a new access token that lives an hour. */
export function refreshed(lease: LeaseRow, newRefreshToken?: string): Json {
  return {
    outcome: 'refreshed',
    used_refresh_token: lease.refresh_token,
    access_token: `access-${randomUUID()}`,
    refresh_token: newRefreshToken ?? null,
    expires_in: 3600,
  };
}

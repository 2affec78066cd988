import * as v from 'valibot';
import { SupabaseConnectionStore } from '../../../lambda/adapters/supabase-connection-store.ts';
import type { SupabaseFunctions } from '../../../lambda/adapters/supabase-functions.ts';
import type { ConnectionStore } from '../../../lambda/connection/connection-store.ts';
import type { LeaseReference } from '../../../lambda/connection/lease.ts';
import { type OpenTransaction, TestDatabase } from '../../supabase/database.ts';
import type { Connection, Written } from '../fakes/connection-model.ts';
import { InMemoryConnectionStore } from '../fakes/in-memory-connection-store.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const MOMENTS = [
  'expiresAt',
  'dueAt',
  'claimableAt',
  'attemptedAt',
  'refreshedAt',
  'heldSince',
  'reauthorizationRequiredSince',
  'verifyAt',
] as const;

const COLUMNS = [
  ...MOMENTS,
  'leaseId',
  'settledLeaseId',
  'refreshes',
  'failures',
  'seenAlive',
  'revocationReason',
  'reauthorizationReason',
  'markedAfterAll',
  'implausibleExpiry',
] as const;

/** A profile and its queue row. Moments are seconds from now, negative in the past. */
export type State = Pick<
  Connection,
  'accessToken' | 'refreshToken' | 'writtenExpiresAt' | (typeof COLUMNS)[number]
> & {
  readonly tokensAreCleared: boolean;
  /** Its history, the newest last. */
  readonly changes: readonly string[];
};

/** A connection store, and what happens to connections behind its back. */
export interface StoreUnderTest {
  readonly store: ConnectionStore;
  /** Removes everything; then the breaker knows of so many connections that it stays closed. */
  clear(): Promise<void>;
  stop(): Promise<void>;
  /** Signs a user up who has connected nothing. */
  signUp(userId: string): Promise<void>;
  /** Writes into a profile as Bondhu's backend does. */
  write(userId: string, columns: Written): Promise<void>;
  /** A restore, which bypasses triggers, changes the stored refresh token. */
  replaceToken(userId: string, refreshToken: string): Promise<void>;
  letTimePass(seconds: number): Promise<void>;
  /** Somebody locks the rows of a user, until what this returns is called. */
  lock(userId: string): Promise<() => Promise<void>>;
  /** From now on Bondhu's schema takes no tokens for this user. */
  refuseTokens(userId: string): Promise<void>;
  /** How many connections the breaker takes its shares of, and how many tokens were refreshed within the last hour. */
  populate(population: number, refreshes: number): Promise<void>;
  /** What operators do after a false revocation: undoes all marks, and says how many. */
  restore(): Promise<number>;
  states(): Promise<ReadonlyMap<string, State>>;
}

/** The model that the tests of use cases stand on. */
export class InMemoryUnderTest implements StoreUnderTest {
  readonly clock = new VirtualClock();
  store = new InMemoryConnectionStore(this.clock);

  async clear(): Promise<void> {
    this.store = new InMemoryConnectionStore(this.clock);
  }

  async stop(): Promise<void> {}

  async signUp(): Promise<void> {}

  async write(userId: string, columns: Written): Promise<void> {
    this.store.model.write(userId, columns);
  }

  async replaceToken(userId: string, refreshToken: string): Promise<void> {
    this.store.connection(userId).refreshToken = refreshToken;
  }

  async letTimePass(seconds: number): Promise<void> {
    this.clock.advance(seconds * 1_000);
  }

  async lock(userId: string): Promise<() => Promise<void>> {
    this.store.model.lockedUsers.add(userId);
    return async () => {
      this.store.model.lockedUsers.delete(userId);
    };
  }

  async refuseTokens(userId: string): Promise<void> {
    this.store.model.usersRefusingTokens.add(userId);
  }

  async populate(population: number, refreshes: number): Promise<void> {
    this.store.model.populate(population, refreshes);
  }

  async restore(): Promise<number> {
    return this.store.model.restore();
  }

  async states(): Promise<ReadonlyMap<string, State>> {
    const now = this.clock.monotonicMilliseconds();
    return new Map(
      this.store.connections().map(({ userId, authorizedAt, tokensClearedAt, changes, ...connection }) => {
        const state = {
          ...connection,
          tokensAreCleared: tokensClearedAt !== null,
          changes: changes.map(({ change }) => change),
        };
        for (const moment of [...MOMENTS, 'writtenExpiresAt'] as const) {
          const value = connection[moment];
          state[moment] = value === null ? null : (value - now) / 1_000;
        }
        return [userId, state];
      }),
    );
  }
}

/** The functions of `supabase/migrations` on a real PostgreSQL, called through the adapter. */
export class SqlUnderTest implements StoreUnderTest {
  readonly #database: TestDatabase;
  readonly #locks = new Set<OpenTransaction>();
  #passedSeconds = 0;

  readonly store: ConnectionStore;

  private constructor(database: TestDatabase) {
    this.#database = database;
    this.store = this.#ageLeases(new SupabaseConnectionStore(functionsOf(database), new VirtualClock()));
  }

  static async start(): Promise<SqlUnderTest> {
    return new SqlUnderTest(await TestDatabase.start());
  }

  async clear(): Promise<void> {
    await Promise.all([...this.#locks].map((lock) => lock.commit()));
    this.#locks.clear();
    await this.#database.owner('alter table public.profiles drop constraint if exists bondhus_own');
    await this.#database.clear();
  }

  stop(): Promise<void> {
    return this.#database.stop();
  }

  async signUp(userId: string): Promise<void> {
    await this.#database.owner('insert into auth.users (id) values ($1)', [userId]);
  }

  write(userId: string, columns: Written): Promise<void> {
    const { accessToken, refreshToken, expiresInSeconds, connectedSecondsAgo } = columns;
    return this.#database.writeProfile(userId, {
      ...(accessToken !== undefined && { access: accessToken }),
      ...(refreshToken !== undefined && { refresh: refreshToken }),
      ...(expiresInSeconds !== undefined && { expires: expiresInSeconds }),
      ...(connectedSecondsAgo !== undefined && { connectedAt: secondsAgo(connectedSecondsAgo) }),
    });
  }

  replaceToken(userId: string, refreshToken: string): Promise<void> {
    return this.#database.bypassingTriggers(
      'update public.profiles set spotify_refresh_token = $2 where id = $1',
      [userId, refreshToken],
    );
  }

  async letTimePass(seconds: number): Promise<void> {
    await this.#database.letTimePassForAll(`${seconds} seconds`);
    this.#passedSeconds += seconds;
  }

  async lock(userId: string): Promise<() => Promise<void>> {
    const lock = await this.#database.hold(
      `select from public.profiles p join spotify_auth.connections c on c.user_id = p.id
        where p.id = $1 for update`,
      [userId],
    );
    this.#locks.add(lock);
    return async () => {
      this.#locks.delete(lock);
      await lock.commit();
    };
  }

  async refuseTokens(userId: string): Promise<void> {
    const profile = await this.#database.profile(userId);
    await this.#database.owner(
      `alter table public.profiles add constraint bondhus_own check (id <> '${userId}'
        or spotify_access_token is not distinct from '${profile?.['spotify_access_token']}') not valid`,
    );
  }

  populate(population: number, refreshes: number): Promise<void> {
    return this.#database.populate(population, refreshes);
  }

  restore(): Promise<number> {
    return this.#database.call('spotify_restore_connections', { since: '-infinity' });
  }

  async states(): Promise<ReadonlyMap<string, State>> {
    const moments: readonly string[] = MOMENTS;
    const columns = COLUMNS.map((name) => {
      const column = `c.${snakeCase(name)}`;
      const value = moments.includes(name) ? `extract(epoch from ${column} - now())::float` : column;
      return `${value} as "${name}"`;
    });
    const rows = await this.#database.prepared<State & { readonly userId: string }>(
      'states',
      `select c.user_id as "userId", ${columns.join(', ')}, p.spotify_access_token as "accessToken",
         p.spotify_refresh_token as "refreshToken",
         extract(epoch from p.spotify_token_expires_at - now())::float as "writtenExpiresAt",
         c.tokens_cleared_at is not null as "tokensAreCleared",
         array(select h.change from spotify_auth.changes h where h.user_id = c.user_id order by h.number) as "changes"
       from spotify_auth.connections c join public.profiles p on p.id = c.user_id`,
    );
    return new Map(rows.map(({ userId, ...state }) => [userId, state]));
  }

  /** Time passes here because rows are moved into the past: what leases carry of it has to move as well. */
  #ageLeases(store: ConnectionStore): ConnectionStore {
    const takenAt = new Map<string, number>();
    const remember = <Lease extends LeaseReference>(lease: Lease): Lease => {
      takenAt.set(lease.leaseId, this.#passedSeconds);
      return lease;
    };
    const aged = <Lease extends LeaseReference>(lease: Lease): Lease => {
      const ageSeconds = this.#passedSeconds - (takenAt.get(lease.leaseId) ?? this.#passedSeconds);
      const leasedAt = new Date(Date.parse(lease.leasedAt) - ageSeconds * 1_000).toISOString();
      return { ...lease, leasedAt };
    };
    return {
      check: async (...parameters) => {
        const check = await store.check(...parameters);
        if (check.state === 'leased') remember(check.lease);
        return check;
      },
      claimDue: async (...parameters) => {
        const batch = await store.claimDue(...parameters);
        for (const lease of batch.leases) remember(lease);
        return batch;
      },
      record: (settled, timeout) =>
        store.record(
          settled.map(({ lease, outcome }) => ({ lease: aged(lease), outcome })),
          timeout,
        ),
      countDue: (...parameters) => store.countDue(...parameters),
      reconcile: (...parameters) => store.reconcile(...parameters),
      clearDeadGrants: (...parameters) => store.clearDeadGrants(...parameters),
    };
  }
}

/** Calls the functions as PostgREST does, without it. */
function functionsOf(database: TestDatabase): SupabaseFunctions {
  const functions: Pick<SupabaseFunctions, 'call'> = {
    call: async (name, schema, _timeoutMilliseconds, parameters = {}) => {
      const answer = await database.call<unknown>(name, parameters);
      // A bigint, which PostgREST writes as a number.
      return v.parse(schema, typeof answer === 'string' ? Number(answer) : answer);
    },
  };
  return functions as SupabaseFunctions;
}

function secondsAgo(seconds: number | null): string | null {
  return seconds === null ? null : new Date(Date.now() - seconds * 1_000).toISOString();
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

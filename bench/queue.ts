import { type Postgres, runSql } from '../stand-ins/supabase/postgres.ts';
import type { Bench } from './bench.ts';
import { connect, fillProfiles, fillQueue } from './database.ts';

interface Claim {
  readonly user_id: string;
  readonly lease_id: string;
  readonly leased_at: string;
  readonly refresh_token: string;
}

/** How long calls took, in milliseconds. */
export interface Times {
  readonly claim: number[];
  readonly record: number[];
  readonly check: number[];
}

/** Claims and records as a sweep does, straight to PostgreSQL. Dispose of it to drop its database. */
export class Queue implements AsyncDisposable {
  readonly superuserUrl: string;
  readonly times: Times = { claim: [], record: [], check: [] };
  readonly #name: string;
  readonly #postgres: Postgres;
  readonly #client: Awaited<ReturnType<typeof connect>>;
  /** Where the last claim ended. */
  #dueFrom: string | null = null;

  private constructor(
    name: string,
    postgres: Postgres,
    superuserUrl: string,
    client: Awaited<ReturnType<typeof connect>>,
  ) {
    this.#name = name;
    this.#postgres = postgres;
    this.superuserUrl = superuserUrl;
    this.#client = client;
  }

  /** Creates a database with this many wide profiles, and their queue. */
  static async open(
    bench: Bench,
    name: string,
    rows: number,
    state: 'all are due' | 'half are dead',
  ): Promise<Queue> {
    bench.progress(`A database with ${rows} wide profiles`);
    const { superuserUrl, serviceRoleUrl } = await bench.createDatabase(name);
    await fillProfiles(superuserUrl, rows);
    await fillQueue(superuserUrl, state);
    return new Queue(name, await bench.postgres(), superuserUrl, await connect(serviceRoleUrl));
  }

  /** Claims a full batch, records that all of it was refreshed, and checks one of these connections. */
  async takeBatch(size: number, isCounted: boolean): Promise<void> {
    const claim = await this.#call<{ claims: Claim[]; due_up_to: string | null }>(
      `public.spotify_claim_due($1, '40 minutes', '5 minutes', '1 minute', null, $2)`,
      [size, this.#dueFrom],
    );
    const { claims, due_up_to } = claim.result;
    if (claims.length !== size) throw new Error(`${this.#name}: claimed ${claims.length} of ${size}`);
    this.#dueFrom = due_up_to;
    const record = await this.#call('public.spotify_record($1)', [JSON.stringify(claims.map(successOf))]);
    const check = await this.#call(`public.spotify_check_connection($1, '5 minutes', '15 seconds')`, [
      claims[0]?.user_id,
    ]);
    if (!isCounted) return;
    this.times.claim.push(claim.milliseconds);
    this.times.record.push(record.milliseconds);
    this.times.check.push(check.milliseconds);
  }

  async timeOf(sql: string): Promise<number> {
    const startedAt = performance.now();
    await this.#client.query(sql);
    return performance.now() - startedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
    await runSql(this.#postgres.url, `drop database ${this.#name}`);
  }

  async #call<Result>(
    sql: string,
    values: readonly unknown[],
  ): Promise<{ result: Result; milliseconds: number }> {
    const startedAt = performance.now();
    const { rows } = await this.#client.query<{ result: Result }>(`select ${sql} as result`, [...values]);
    return { result: rows[0]?.result as Result, milliseconds: performance.now() - startedAt };
  }
}

function successOf({ user_id, lease_id, leased_at, refresh_token }: Claim) {
  const access_token = `BQ${lease_id.repeat(5)}`;
  return {
    user_id,
    lease_id,
    leased_at,
    outcome: 'refreshed',
    used_refresh_token: refresh_token,
    access_token,
    expires_in: 3_600,
  };
}

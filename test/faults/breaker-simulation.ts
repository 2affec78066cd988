import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { openBondhuDatabase } from '../../stand-ins/supabase/bondhu-database.ts';
import { type Postgres, runSql } from '../../stand-ins/supabase/postgres.ts';

/** Sweeps begin this often. */
const SWEEP_INTERVAL_MINUTES = 30;

/** In so many minutes a sweep calls Spotify once about everybody, however many there are. */
const SWEEP_MINUTES = 5;

/** A sweep of a small deployment takes several batches, too: what is learned in one holds for the next. */
const LEAST_BATCHES = 10;
const LARGEST_BATCH = 1_000;

const SAMPLED_CALLERS = 200;
const FIRST_MOMENT = Date.parse('2027-01-04T00:00:00Z') / 1_000;

/** What came of a scenario; times in minutes, since its beginning or as lengths, null where there is none. */
export type Findings = {
  /** Users whose grant was alive whenever they were counted here. */
  readonly living: {
    /** Of whom Spotify said it was dead. */
    readonly refused: number;
    readonly marked: number;
    /** For whom the rows said "reconnect" at some time, for how long at most and in total. */
    readonly told: number;
    readonly told_longest: number;
    readonly told_sum: number;
    /** The token had run out and the rows said "try again". */
    readonly run_out_longest: number;
    readonly run_out_sum: number;
    /** From the end of the false refusals until the last of the refused was refreshed, and how many were not. */
    readonly recovered_after: number | null;
    readonly unrecovered: number;
  };
  readonly dead: {
    readonly refused: number;
    readonly untold: number;
    /** Not marked by the first call that was refused. */
    readonly told_late: number;
    /** From the first refused call to the mark. */
    readonly told_after_median: number | null;
    readonly told_after_longest: number | null;
    readonly last_told_at: number | null;
  };
  readonly breaker: {
    readonly openings: number;
    readonly opened_at: number | null;
    readonly open_for: number | null;
    readonly is_open: boolean;
  };
  /** What real status calls were answered. */
  readonly status: {
    readonly calls: number;
    /** "Reconnect" for a grant that was alive: while Spotify refused it, too; and when it no longer, or never, did. */
    readonly told: number;
    readonly wrong: number;
    /** "Try again", for over an hour after Spotify first refused a dead grant, without saying that it did. */
    readonly unexplained: number;
  };
  readonly sweeps: {
    readonly sweeps: number;
    /** At whose end the statistics said so. */
    readonly nearly_all_revoked: number;
    readonly breaker_open: number;
    readonly calls_at_most: number;
  };
  /** Living grants that are marked, whose token has run out, or that were refused and not refreshed since, at the end. */
  readonly not_connected: number;
};

/** Users who were all there before the first sweep; or of whom this system has refreshed each at least twice. */
export type Population = 'day one' | 'steady state';

/** Users by their number, which begins at 1 and says nothing about their place in the queue. */
export type Numbers = { readonly from: number; readonly to: number };

/** From one minute of the scenario to another. */
export type Wave = { readonly begin: number; readonly end: number };

/** Makes simulations in databases of their own on one server; what takes long to prepare is prepared once. */
export class BreakerSimulations {
  readonly #postgres: Postgres;
  readonly #steady = new Map<number, Promise<string>>();
  #made = 0;

  constructor(postgres: Postgres) {
    this.#postgres = postgres;
  }

  /** A simulation whose time begins when its first sweep is due. */
  async create(population: Population, users: number): Promise<BreakerSimulation> {
    if (population === 'day one') return this.#createUsers(users);
    const template = this.#steady.get(users) ?? this.#prepareSteadyState(users);
    this.#steady.set(users, template);
    const name = this.#nextName();
    await runSql(
      this.#postgres.url,
      `create database ${name} template ${await template} owner postgres strategy file_copy`,
    );
    return BreakerSimulation.open(this.#postgres, name, users);
  }

  async #createUsers(users: number): Promise<BreakerSimulation> {
    const name = this.#nextName();
    const { superuserUrl } = await openBondhuDatabase(this.#postgres, { name });
    await runSql(superuserUrl, await readFile(new URL('breaker-simulation.sql', import.meta.url), 'utf8'));
    const simulation = await BreakerSimulation.open(this.#postgres, name, users);
    await simulation.createUsers();
    return simulation;
  }

  async #prepareSteadyState(users: number): Promise<string> {
    const simulation = await this.#createUsers(users);
    await simulation.settle();
    await simulation.close();
    return simulation.name;
  }

  #nextName(): string {
    this.#made += 1;
    return `simulation_${this.#made}`;
  }
}

/**
 * Connections, sweeps every half hour and some status calls, on simulated time, against a simulated Spotify: the real
 * functions on a real PostgreSQL, in a database of its own. breaker-simulation.sql does the work.
 *
 * Minutes are counted from the beginning of the scenario, when a sweep is due.
 */
export class BreakerSimulation {
  readonly name: string;
  readonly #postgres: Postgres;
  readonly #users: number;
  readonly #client: pg.Client;
  #beganAt: number;
  #now: number;

  private constructor(postgres: Postgres, name: string, users: number, client: pg.Client, epoch: number) {
    this.#postgres = postgres;
    this.name = name;
    this.#users = users;
    this.#client = client;
    this.#beganAt = epoch;
    this.#now = epoch;
  }

  static async open(postgres: Postgres, name: string, users: number): Promise<BreakerSimulation> {
    const client = new pg.Client({ connectionString: postgres.urlOf(name, 'supabase_admin') });
    await client.connect();
    const { rows } = await client.query<{ epoch: number }>('select epoch from sim.clock');
    const epoch = rows[0]?.epoch ?? FIRST_MOMENT;
    // Without just-in-time compilation, which would take longer than the statements.
    await client.query(`set timezone = 'UTC'; set jit = off; set sim.epoch = ${epoch}; select setseed(0.42)`);
    return new BreakerSimulation(postgres, name, users, client, epoch);
  }

  async createUsers(): Promise<void> {
    await this.#client.query(`call sim.create_users(${this.#users})`);
    await this.#client.query(
      `insert into sim.timetable (observe_every) values (interval '${this.#users < 1_000 ? 1 : 5} minutes')`,
    );
    await this.vacuum();
  }

  /** Sweeps twice, so that this system has refreshed everybody twice; the scenario begins after that. */
  async settle(): Promise<void> {
    await this.sweepUntil(this.#minute + 2 * SWEEP_INTERVAL_MINUTES);
    await this.vacuum();
    await this.beginScenario();
  }

  /** Counts from here on. */
  async beginScenario(): Promise<void> {
    await this.change('select sim.begin_scenario()');
    this.#beganAt = this.#now;
  }

  /** The moment of a minute of the scenario, as SQL understands it. */
  at(minute: number): string {
    return new Date((this.#beganAt + minute * 60) * 1_000).toISOString();
  }

  /** Runs SQL as the superuser with triggers bypassed. */
  async change(sql: string, values: readonly unknown[] = []): Promise<void> {
    await this.#client.query('set session_replication_role = replica');
    await this.#client.query(sql, [...values]);
    await this.#client.query('reset session_replication_role');
  }

  /** Ends the grants of users by their number, each at a minute of the scenario that an SQL expression gives. */
  async revokeGrants({ from, to }: Numbers, minute: string): Promise<void> {
    await this.change(
      `update sim.grants set dead_from = $1::timestamptz + (${minute}) * interval '1 minute'
        where number between $2 and $3`,
      [this.at(0), from, to],
    );
  }

  /** As `revokeGrants`, because they are six months old by then. */
  async expireGrants(numbers: Numbers, minute: string): Promise<void> {
    await this.revokeGrants(numbers, minute);
    await this.change(
      `with expiring as (
        update sim.grants set dead_reason = 'expired' where number between $1 and $2
        returning user_id, dead_from - interval '6 months' as authorized_at
      ), known as (
        update spotify_auth.connections c set authorized_at = expiring.authorized_at
        from expiring where c.user_id = expiring.user_id
      )
      update public.profiles p set spotify_connected_at = expiring.authorized_at
      from expiring where p.id = expiring.user_id`,
      [numbers.from, numbers.to],
    );
  }

  /** Makes the tokens of users the first that a sweep comes to: they ran out weeks ago. */
  async letTokensBeLongRunOut({ from, to }: Numbers): Promise<void> {
    await this.change(
      `update public.profiles p set spotify_token_expires_at = sim.now() - interval '14 days' - random() * interval '30 days'
        from sim.grants g where g.user_id = p.id and g.number between $1 and $2`,
      [from, to],
    );
  }

  /** Before the first sweep: users who never connected, nor have anything to connect with. */
  async disconnect({ from, to }: Numbers): Promise<void> {
    await this.change(
      `with gone as (
        update sim.grants set refresh_token = null, dead_from = '-infinity' where number between $1 and $2 returning user_id
      )
      update public.profiles p set spotify_access_token = null, spotify_refresh_token = null,
        spotify_token_expires_at = null, spotify_connected_at = null
      from gone where p.id = gone.user_id`,
      [from, to],
    );
  }

  /** Lets Spotify say of users that their grants are dead, while they are not, between two minutes of the scenario. */
  async refuseFalsely(
    { from, to }: Numbers,
    { begin, end }: Wave,
    reason: 'revoked' | 'invalid',
  ): Promise<void> {
    await this.change(
      `update sim.grants set refused_from = $1, refused_until = $2, refused_reason = $3
        where number between $4 and $5 and dead_from > sim.now()`,
      [this.at(begin), this.at(end), reason, from, to],
    );
  }

  /** From now on a sample of users asks for the status every few minutes: of those something happens to, and of all. */
  async letUsersCall(everyMinutes = 5): Promise<void> {
    const each = Math.min(SAMPLED_CALLERS, this.#users / 10);
    await this.change(
      `insert into sim.callers select user_id from (
        (select user_id from sim.grants where (dead_from < 'infinity' or refused_from < 'infinity') and not is_attacker order by random() limit ${each})
        union (select user_id from sim.grants where not is_attacker order by random() limit ${each})) caller`,
    );
    await this.callEvery(everyMinutes);
  }

  /** From now on those who call do it more or less often. */
  async callEvery(minutes: number): Promise<void> {
    await this.change(
      `update sim.timetable set call_status_every = interval '${minutes} minutes', next_status = sim.now()`,
    );
  }

  /** From now on these users write into their own rows. */
  async letUsersAttack({ from, to }: Numbers, everyMinutes: number): Promise<void> {
    await this.change('update sim.grants set is_attacker = true where number between $1 and $2', [from, to]);
    // A second write to a row in one transaction checks its foreign key.
    await this.change('insert into auth.users (id) select user_id from sim.grants where is_attacker');
    await this.change(
      `update sim.timetable set attack_every = interval '${everyMinutes} minutes', next_attack = sim.now()`,
    );
  }

  /** Sweeps when it is due, until a minute of the scenario. */
  async sweepUntil(minute: number): Promise<void> {
    while (this.#minute < minute) {
      await this.#sweep();
    }
  }

  /** Sweeps until every living grant is connected and the breaker closed, or until a minute of the scenario. */
  async sweepUntilAllIsWell(minute: number): Promise<void> {
    while (this.#minute < minute && !(await this.#isAllWell())) {
      await this.#sweep();
    }
  }

  /** What came of it since the beginning of the scenario. */
  async findings(): Promise<Findings> {
    return (await this.#one<{ findings: Findings }>('select sim.findings($1) as findings', [this.at(0)]))
      .findings;
  }

  async vacuum(): Promise<void> {
    await this.#client.query('vacuum (analyze)');
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  /** Ends it and removes its database. */
  async remove(): Promise<void> {
    await this.close();
    await runSql(this.#postgres.url, `drop database ${this.name}`);
  }

  get #minute(): number {
    return (this.#now - this.#beganAt) / 60;
  }

  /** One sweep, and then nothing until the next is due. */
  async #sweep(): Promise<void> {
    const batch = Math.max(1, Math.min(LARGEST_BATCH, Math.ceil(this.#users / LEAST_BATCHES)));
    await this.#client.query(`call sim.sweep(${batch}, ${(SWEEP_MINUTES * 60) / this.#users})`);
    this.#now += SWEEP_INTERVAL_MINUTES * 60;
    await this.#client.query(
      `call sim.advance(${this.#now} - current_setting('sim.epoch')::double precision)`,
    );
  }

  async #isAllWell(): Promise<boolean> {
    return (await this.#one<{ is_well: boolean }>('select sim.is_all_well() as is_well')).is_well;
  }

  async #one<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row> {
    return (await this.#client.query<Row>(sql, [...values])).rows[0] as Row;
  }
}

import type pg from 'pg';
import { openBondhuDatabase } from '../../stand-ins/supabase/bondhu-database.ts';
import { startPostgres } from '../../stand-ins/supabase/postgres.ts';
import type { Bench } from '../bench.ts';
import { connect, fillProfiles, fillQueue } from '../database.ts';
import { type Findings, median } from '../figure.ts';

const ROWS = 5_000;
const SWEEPS = 48;
const BATCH = 500;
/** A sweep of a million takes about five minutes, and autovacuum looks once a minute. */
const LOOKS_PER_SWEEP = 5;

/** Pages are written whole after a checkpoint, as on Supabase; vacuums come from here. */
const SERVER_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  autovacuum: 'off',
  checkpoint_timeout: '1h',
  max_wal_size: '4GB',
};

const VARIANTS: readonly { readonly name: string; readonly sql: string }[] = [
  { name: 'as the migration has it: profiles 85, queue 100', sql: '' },
  { name: 'profiles 100', sql: 'alter table public.profiles set (fillfactor = 100)' },
  { name: 'queue 70', sql: 'alter table spotify_auth.connections set (fillfactor = 70)' },
  {
    name: 'queue without the index of held rows',
    sql: 'drop index spotify_auth.connections_claimable',
  },
];

/**
 * What a day of sweeps does to the size of tables and indexes, by fill factor and index. The day passes in a minute, too fast for
 * autovacuum's launcher, so its rule at its defaults (a table with 50 + 20 % dead rows is vacuumed) is applied five times a
 * sweep. A checkpoint before each sweep stands for those every five minutes, and pages are written whole after it. Only a
 * report.
 */
export async function measureBloat(bench: Bench): Promise<Findings> {
  const postgres = await startPostgres({ settings: SERVER_SETTINGS });
  await using _stopped = { [Symbol.asyncDispose]: () => postgres.stop() };
  const report = [
    `${SWEEPS} sweeps over ${ROWS} connections, each refreshed every time; sizes before and after:`,
    row(['profiles', 'HOT', 'queue', 'HOT', "queue's indexes", 'WAL', 'claim of 500']),
  ];
  for (const [index, { name, sql }] of VARIANTS.entries()) {
    bench.progress(`${SWEEPS} sweeps: ${name}`);
    const { superuserUrl } = await openBondhuDatabase(postgres, { name: `bloat${index}` });
    await using client = await connect(superuserUrl);
    await client.query(sql);
    await fillProfiles(superuserUrl, ROWS);
    await fillQueue(superuserUrl, 'all are due');
    report.push(`${row(await liveThroughADay(client))}${name}`);
  }
  return { figures: [], report };
}

/** Sweeps all day; returns the cells of the report. */
async function liveThroughADay(client: pg.Client): Promise<string[]> {
  const before = await sizesOf(client);
  const walBefore = await walPosition(client);
  const claimTimes: number[] = [];
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    await client.query('checkpoint');
    const startedAt = performance.now();
    for (let batch = 0; batch < ROWS / BATCH; batch += 1) {
      const claimedAt = performance.now();
      await refreshBatch(client, (claimedAt - startedAt) / 1_000, claimTimes);
      if ((batch + 1) % (ROWS / BATCH / LOOKS_PER_SWEEP) === 0) await vacuumAsAutovacuumWould(client);
    }
  }
  const wal = (await walPosition(client)) - walBefore;
  const after = await sizesOf(client);
  const grown = (size: (sizes: Sizes) => number) =>
    `${(size(before) / 1e6).toFixed(1)} → ${(size(after) / 1e6).toFixed(1)} MB`;
  return [
    grown(({ profiles }) => profiles),
    `${after.profilesHot} %`,
    grown(({ queue }) => queue),
    `${after.queueHot} %`,
    grown(({ indexes }) => indexes),
    `${(wal / 1_000 / ROWS / SWEEPS).toFixed(2)} kB`,
    `${median(claimTimes.slice(-ROWS / BATCH)).toFixed(1)} ms`,
  ];
}

async function refreshBatch(client: pg.Client, sweepAgeSeconds: number, claimTimes: number[]): Promise<void> {
  const startedAt = performance.now();
  const { rows } = await client.query<{ claims: Record<string, string>[] }>(
    `select public.spotify_claim_due($1, '2 hours', '5 minutes', $2) -> 'claims' as claims`,
    [BATCH, `${sweepAgeSeconds.toFixed(3)} seconds`],
  );
  claimTimes.push(performance.now() - startedAt);
  const claims = rows[0]?.claims ?? [];
  if (claims.length !== BATCH) throw new Error(`claimed ${claims.length} of ${BATCH}`);
  const results = claims.map(({ user_id, lease_id, leased_at, refresh_token }) => ({
    user_id,
    lease_id,
    leased_at,
    outcome: 'refreshed',
    used_refresh_token: refresh_token,
    access_token: `BQ${lease_id?.repeat(5)}`,
    expires_in: 3_600,
  }));
  await client.query('select public.spotify_record($1)', [JSON.stringify(results)]);
}

/** @see https://www.postgresql.org/docs/17/routine-vacuuming.html#AUTOVACUUM */
async function vacuumAsAutovacuumWould(client: pg.Client): Promise<void> {
  await client.query('select pg_stat_force_next_flush()');
  const { rows } = await client.query<{ name: string }>(
    `select s.relid::regclass::text as name from pg_stat_user_tables s join pg_class c on c.oid = s.relid
      where s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0)`,
  );
  for (const { name } of rows) await client.query(`vacuum (analyze) ${name}`);
}

interface Sizes {
  readonly profiles: number;
  readonly queue: number;
  readonly indexes: number;
  readonly profilesHot: number;
  readonly queueHot: number;
}

async function sizesOf(client: pg.Client): Promise<Sizes> {
  const hot = (table: string) =>
    `(select round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1))::integer from pg_stat_user_tables where relid = '${table}'::regclass)`;
  await client.query('select pg_stat_force_next_flush()');
  const { rows } = await client.query<Sizes>(
    `select pg_relation_size('public.profiles')::float8 as profiles,
      pg_relation_size('spotify_auth.connections')::float8 as queue,
      pg_indexes_size('spotify_auth.connections')::float8 as indexes,
      ${hot('public.profiles')} as "profilesHot", ${hot('spotify_auth.connections')} as "queueHot"`,
  );
  return rows[0] as Sizes;
}

async function walPosition(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ position: number }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as position`,
  );
  return rows[0]?.position ?? 0;
}

function row(cells: readonly string[]): string {
  return `  ${cells.map((cell) => cell.padEnd(18)).join('')}`;
}

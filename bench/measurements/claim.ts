import type { Bench } from '../bench.ts';
import { connect, fillProfiles, fillQueue } from '../database.ts';
import { type Findings, median } from '../figure.ts';

const SMALL = 10_000;
const LARGE = 1_000_000;
const BATCH = 500;
/** As many as the small queue has batches for. */
const BATCHES = SMALL / BATCH - 1;

interface Claim {
  readonly user_id: string;
  readonly lease_id: string;
  readonly leased_at: string;
  readonly refresh_token: string;
}

interface Times {
  readonly claim: number[];
  readonly record: number[];
  readonly check: number[];
}

/** Whether a claim gets slower where the queue is long and half of it is dead. Claims and records as a sweep does. */
export async function measureClaim(bench: Bench): Promise<Findings> {
  await using small = await openQueue(bench, 'small', SMALL, 'all are due');
  await using large = await openQueue(bench, 'large', LARGE, 'half are dead');
  bench.progress(`${BATCHES} batches of ${BATCH}, from both by turns`);
  // The first batch of a session plans its statements; it is not counted.
  for (let batch = 0; batch < BATCHES; batch += 1) {
    for (const queue of batch % 2 === 0 ? [small, large] : [large, small]) await queue.takeBatch(batch > 0);
  }
  const count = await large.timeOf("select public.spotify_due_count('10 seconds')");

  const of = (call: keyof Times) =>
    `${call}: ${median(large.times[call]).toFixed(1)} ms against ${median(small.times[call]).toFixed(1)} ms`;
  return {
    figures: [
      {
        name: 'claim of 500 at 1,000,000 rows (half of them dead), median',
        baseline: 'itself at 10,000 rows',
        value: median(large.times.claim) / median(small.times.claim),
        unit: '×',
        better: 'less',
        atLeast: 1.5,
        aimAt: 1.1,
        measured: of('claim'),
      },
    ],
    report: [
      'At 1,000,000 rows against 10,000, medians:',
      `  ${of('record')} for ${BATCH}`,
      `  ${of('check')}`,
      `  due count, once: ${count.toFixed(1)} ms`,
    ],
  };
}

async function openQueue(bench: Bench, name: string, rows: number, state: 'all are due' | 'half are dead') {
  bench.progress(`A database with ${rows} wide profiles`);
  const { superuserUrl, serviceRoleUrl } = await bench.createDatabase(name);
  await fillProfiles(superuserUrl, rows);
  await fillQueue(superuserUrl, state);
  const client = await connect(serviceRoleUrl);
  const times: Times = { claim: [], record: [], check: [] };

  async function call<Result>(
    sql: string,
    values: readonly unknown[],
  ): Promise<{ result: Result; milliseconds: number }> {
    const startedAt = performance.now();
    const { rows } = await client.query<{ result: Result }>(`select ${sql} as result`, [...values]);
    return { result: rows[0]?.result as Result, milliseconds: performance.now() - startedAt };
  }

  return {
    times,
    async takeBatch(isCounted: boolean): Promise<void> {
      const claim = await call<{ claims: Claim[] }>(
        `public.spotify_claim_due($1, '40 minutes', '5 minutes', '1 minute')`,
        [BATCH],
      );
      const { claims } = claim.result;
      if (claims.length !== BATCH) throw new Error(`${name}: claimed ${claims.length} of ${BATCH}`);
      const record = await call('public.spotify_record($1)', [JSON.stringify(claims.map(successOf))]);
      const check = await call(`public.spotify_check_connection($1, '5 minutes', '15 seconds')`, [
        claims[0]?.user_id,
      ]);
      if (!isCounted) return;
      times.claim.push(claim.milliseconds);
      times.record.push(record.milliseconds);
      times.check.push(check.milliseconds);
    },
    async timeOf(sql: string): Promise<number> {
      const startedAt = performance.now();
      await client.query(sql);
      return performance.now() - startedAt;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
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

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fillProfiles, fillQueue } from '../../bench/database.ts';
import { isLongRun } from '../faults/run-length.ts';
import { type LeaseRow, refreshed, TestDatabase } from './database.ts';

/** 8 kB pages that one call may touch, however many profiles there are; measured values with some air. */
const bounds = { claim: 12_000, record: 33_000, 'record of kept tokens': 25_000, check: 100 };

const batchSize = 500;

/** More than any bound has pages for, if each of them were looked at; `FAULTS=long` has as many as there may be. */
const many = isLongRun ? 1_000_000 : 200_000;

type PlanNode = {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
};

/** What the server did for one call: every table scan of every statement in it, and the pages it touched. */
type Execution = { readonly scans: readonly string[]; readonly buffers: number };

let database: TestDatabase;
const executions: { [call: string]: Execution }[] = [];

beforeAll(async () => {
  database = await TestDatabase.start({ ownServer: true });
  await fillProfiles(database.urls.superuserUrl, 10_000);
  await fillQueue(database.urls.superuserUrl, 'all are due');
  executions.push(await executeEachCall());

  await fillProfiles(database.urls.superuserUrl, many);
  await fillQueue(database.urls.superuserUrl, 'half are dead');
  executions.push(await executeEachCall());
  // A sweep goes on without a vacuum in between.
  for (let batch = 0; batch < 10; batch += 1) {
    await database.call('spotify_record', { results: successesOf(await claim()) });
  }
  executions.push(await executeEachCall());
}, 180_000);
afterAll(() => database.stop());

describe.each([
  { situation: 0, of: '10,000 profiles' },
  { situation: 1, of: 'many profiles, half of them dead and a tenth leased or backing off' },
  { situation: 2, of: 'many profiles, after 5,000 have been refreshed' },
])('of $of', ({ situation }) => {
  test.each(Object.keys(bounds) as (keyof typeof bounds)[])(
    'a %s touches no more pages than ever',
    (call) => {
      expect(executions[situation]?.[call]?.buffers).toBeLessThan(bounds[call]);
    },
  );
});

test.each([
  ['claim', 1],
  ['record', 1],
  ['record of kept tokens', 1],
  ['check', 1],
  ['due count', 1],
  ['claim', 2],
  ['record', 2],
  ['record of kept tokens', 2],
  ['check', 2],
  ['due count', 2],
])('a %s reads many profiles and their queue through indexes (%#)', (call, situation) => {
  const scans = executions[situation]?.[call]?.scans ?? [];

  expect(scans).toContainEqual(expect.stringMatching(/^(Index|Index Only|Bitmap Heap) Scan on connections$/));
  expect(scans.filter((scan) => /^Seq Scan on (profiles|connections)$/.test(scan))).toEqual([]);
});

async function claim(): Promise<LeaseRow[]> {
  return (await database.claim({ batch_size: batchSize })).claims;
}

function successesOf(leases: readonly LeaseRow[]) {
  return leases.map((lease) => ({ ...lease, ...refreshed(lease, `new-${lease.user_id}`) }));
}

async function executeEachCall() {
  const leases = await claim();
  return {
    claim: await execute(
      `select public.spotify_claim_due(${batchSize}, '40 minutes', '5 minutes', '1 minute') -> 'claims'`,
    ),
    record: await execute('select public.spotify_record($1)', [JSON.stringify(successesOf(leases))]),
    // The rule, where Spotify keeps the refresh token: nothing of the table of hashes is written.
    'record of kept tokens': await execute('select public.spotify_record($1)', [
      JSON.stringify((await claim()).map((lease) => ({ ...lease, ...refreshed(lease) }))),
    ]),
    check: await execute(`select public.spotify_check_connection($1, '1 hour', '15 seconds')`, [
      leases[0]?.user_id,
    ]),
    'due count': await execute(`select public.spotify_due_count('10 seconds')`),
  };
}

/** Runs a call for the seventh time in its session, when generic plans are considered, and reports on that one. */
async function execute(sql: string, values: readonly unknown[] = []): Promise<Execution> {
  const client = await database.connect(database.urls.superuserUrl);
  const plans: PlanNode[] = [];
  client.on('notice', ({ message }) => {
    const json = message?.split('plan:\n')[1];
    if (json !== undefined) plans.push((JSON.parse(json) as { Plan: PlanNode }).Plan);
  });
  await client.query(`load 'auto_explain'`);
  await client.query(
    `set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on;
    set auto_explain.log_timing = off; set auto_explain.log_buffers = on; set auto_explain.log_format = 'json';
    set client_min_messages = 'log'`,
  );
  for (let run = 0; run < 6; run += 1) {
    await client.query('begin');
    await client.query(sql, [...values]);
    await client.query('rollback');
  }
  await client.query('set auto_explain.log_min_duration = 0');
  await client.query(sql, [...values]);
  client.release(true);
  // The call itself comes last; its pages include those of the statements in it.
  const call = plans.at(-1) as PlanNode;
  return {
    scans: plans.flatMap(scansIn),
    buffers: call['Shared Hit Blocks'] + call['Shared Read Blocks'],
  };
}

function scansIn(node: PlanNode): string[] {
  const isScan = node['Node Type'].endsWith('Scan') && node['Relation Name'] !== undefined;
  const own = isScan ? [`${node['Node Type']} on ${node['Relation Name']}`] : [];
  return [...own, ...(node.Plans ?? []).flatMap(scansIn)];
}

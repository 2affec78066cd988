import type { Bench } from '../bench.ts';
import { connect } from '../database.ts';
import { type Findings, median } from '../figure.ts';
import { Queue } from '../queue.ts';

const BATCH = 500;
const BATCHES = 1_000;
/** How many claims at the beginning are compared with as many at the end. */
const COMPARED = 20;

/**
 * Whether claims get slower during a sweep while another session holds a snapshot, as a backup, a replica or an idle
 * transaction does: the old index entries of refreshed connections then stay.
 */
export async function measureHeldSnapshot(bench: Bench): Promise<Findings> {
  await using queue = await Queue.open(bench, 'snapshot', (BATCHES + 1) * BATCH, 'all are due');
  await using holder = await connect(queue.superuserUrl);
  await holder.query('begin isolation level repeatable read');
  await holder.query('select from public.profiles limit 1');
  bench.progress(`${BATCHES} batches of ${BATCH} while another session holds a snapshot`);
  // The first batch of a session plans its statements; it is not counted.
  for (let batch = 0; batch <= BATCHES; batch += 1) await queue.takeBatch(BATCH, batch > 0);

  const first = median(queue.times.claim.slice(0, COMPARED));
  const last = median(queue.times.claim.slice(-COMPARED));
  return {
    figures: [
      {
        name: `claim number ${BATCHES} of a sweep while another session holds a snapshot`,
        baseline: 'its first',
        value: last / first,
        unit: '×',
        better: 'less',
        atLeast: 2,
        aimAt: 1.2,
        measured: `${last.toFixed(1)} ms against ${first.toFixed(1)} ms`,
      },
    ],
    report: [],
  };
}

import type { Bench } from '../bench.ts';
import { type Findings, median } from '../figure.ts';
import { Queue, type Times } from '../queue.ts';

const SMALL = 10_000;
const LARGE = 1_000_000;
const BATCH = 500;
/** All batches of the small queue. */
const BATCHES = SMALL / BATCH - 1;

/** Whether claims and records get slower if the queue is long and half of it is dead. */
export async function measureClaim(bench: Bench): Promise<Findings> {
  await using small = await Queue.open(bench, 'small', SMALL, 'all are due');
  await using large = await Queue.open(bench, 'large', LARGE, 'half are dead');
  bench.progress(`${BATCHES} batches of ${BATCH}, from both by turns`);
  // The first batch of a session plans its statements; it is not counted.
  for (let batch = 0; batch < BATCHES; batch += 1) {
    for (const queue of batch % 2 === 0 ? [small, large] : [large, small])
      await queue.takeBatch(BATCH, batch > 0);
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
      {
        name: 'record of 500 at 1,000,000 rows (half of them dead), median',
        baseline: 'none: milliseconds on two cores',
        value: median(large.times.record),
        unit: ' ms',
        better: 'less',
        atLeast: 30,
        aimAt: 20,
        measured: of('record'),
      },
    ],
    report: [
      'At 1,000,000 rows against 10,000, medians:',
      `  ${of('check')}`,
      `  due count, once: ${count.toFixed(1)} ms`,
    ],
  };
}

import type { Bench } from '../bench.ts';
import { type Findings, median } from '../figure.ts';
import { Queue, type Times } from '../queue.ts';

const SMALL = 10_000;
const LARGE = 1_000_000;
const BATCH = 500;
/** All batches of the small queue. */
const BATCHES = SMALL / BATCH - 1;
/** A round measures for a second or two, and a slow moment of the machine may last longer. */
const ROUNDS = 5;

type Round = { readonly small: Times; readonly large: Times; readonly count: number };

/** Whether claims and records get slower if the queue is long and half of it is dead. */
export async function measureClaim(bench: Bench): Promise<Findings> {
  const rounds: Round[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    bench.progress(`Round ${round} of ${ROUNDS}`);
    rounds.push(await measureRound(bench));
  }
  const medianOf = (queue: 'small' | 'large', call: keyof Times) =>
    median(rounds.map((round) => median(round[queue][call])));
  const of = (call: keyof Times) =>
    `${call}: ${medianOf('large', call).toFixed(1)} ms against ${medianOf('small', call).toFixed(1)} ms`;
  const records = rounds.map(({ large }) => median(large.record));
  return {
    figures: [
      {
        name: 'claim of 500 at 1,000,000 rows (half of them dead), median',
        baseline: 'itself at 10,000 rows',
        value: medianOf('large', 'claim') / medianOf('small', 'claim'),
        unit: '×',
        better: 'less',
        atLeast: 1.5,
        aimAt: 1.1,
        measured: of('claim'),
      },
      {
        name: 'record of 500 at 1,000,000 rows (half of them dead), median',
        baseline: 'none: milliseconds on two cores',
        value: medianOf('large', 'record'),
        unit: ' ms',
        better: 'less',
        atLeast: 30,
        aimAt: 20,
        measured: `${of('record')}; rounds from ${Math.min(...records).toFixed(1)} to ${Math.max(...records).toFixed(1)} ms`,
      },
    ],
    report: [
      'At 1,000,000 rows against 10,000, medians:',
      `  ${of('check')}`,
      `  due count, once a round: ${median(rounds.map(({ count }) => count)).toFixed(1)} ms`,
    ],
  };
}

async function measureRound(bench: Bench): Promise<Round> {
  await using small = await Queue.open(bench, 'small', SMALL, 'all are due');
  await using large = await Queue.open(bench, 'large', LARGE, 'half are dead');
  bench.progress(`${BATCHES} batches of ${BATCH}, from both by turns`);
  // The first batch of a session plans its statements; it is not counted.
  for (let batch = 0; batch < BATCHES; batch += 1) {
    for (const queue of batch % 2 === 0 ? [small, large] : [large, small])
      await queue.takeBatch(BATCH, batch > 0);
  }
  const count = await large.timeOf("select public.spotify_due_count('10 seconds')");
  return { small: small.times, large: large.times, count };
}

import type { Bench } from '../bench.ts';
import type { Findings } from '../figure.ts';
import { sweepOnce } from '../sweep-once.ts';

const FEW = 10_000;
const MANY = 200_000;

/** Whether a sweeper's memory depends on how many connections it refreshes. */
export async function measureMemory(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  bench.progress(`Peak memory: ${FEW} due connections`);
  const few = await sweepOnce(world, FEW);
  bench.progress(`Peak memory: ${MANY} due connections (the longest part)`);
  const many = await sweepOnce(world, MANY);
  return {
    figures: [
      {
        name: 'peak memory, 200,000 due',
        baseline: 'itself, 10,000 due',
        value: many.peakMegabytes / few.peakMegabytes,
        unit: '×',
        better: 'less',
        atLeast: 1.15,
        aimAt: 1,
        measured: `${many.peakMegabytes.toFixed(0)} MB against ${few.peakMegabytes.toFixed(0)} MB`,
      },
    ],
    report: [],
  };
}

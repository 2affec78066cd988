import type { Bench } from '../bench.ts';
import { type Findings, median } from '../figure.ts';
import { type MeasuredSweep, sweepOnce } from '../sweep-once.ts';

const FEW = 10_000;
const MANY = 200_000;

/** A short sweep meets few collections, so there are several. */
const SHORT_SWEEPS = 5;

/**
 * Whether a sweeper needs more memory for more connections: compares what V8's full collections leave. Resident memory also
 * grows until the young generation is as large as Lambda's flags allow.
 */
export async function measureMemory(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  bench.progress(`Memory: ${FEW} due connections, ${SHORT_SWEEPS} times`);
  const short: MeasuredSweep[] = [];
  while (short.length < SHORT_SWEEPS) short.push(await sweepOnce(world, FEW));
  const few = {
    heldMegabytes: median(short.map(({ heldMegabytes }) => heldMegabytes)),
    peakMegabytes: Math.max(...short.map(({ peakMegabytes }) => peakMegabytes)),
  };
  bench.progress(`Memory: ${MANY} due connections (the longest part)`);
  const many = await sweepOnce(world, MANY);
  return {
    figures: [
      {
        name: 'memory held, 200,000 due',
        baseline: 'itself, 10,000 due',
        value: many.heldMegabytes / few.heldMegabytes,
        unit: '×',
        better: 'less',
        atLeast: 1.15,
        aimAt: 1,
        measured: `${many.heldMegabytes.toFixed(0)} MB against ${few.heldMegabytes.toFixed(0)} MB`,
      },
    ],
    report: [
      `Resident memory, at most: ${many.peakMegabytes.toFixed(0)} MB with ${MANY} due, ${few.peakMegabytes.toFixed(0)} MB with ${FEW}.`,
    ],
  };
}

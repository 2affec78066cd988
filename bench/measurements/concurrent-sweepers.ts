import type { Bench } from '../bench.ts';
import type { Findings } from '../figure.ts';
import { sweepOnce } from '../sweep-once.ts';

/** So many that the start of four processes does not weigh. */
const DUE = 60_000;
const SWEEPERS = 4;

/** Whether sweepers get in each other's way. */
export async function measureConcurrentSweepers(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  bench.progress(`1 sweeper: ${DUE} due connections`);
  const one = await sweepOnce(world, DUE);
  bench.progress(`${SWEEPERS} sweepers: ${DUE} due connections`);
  const several = await sweepOnce(world, DUE, SWEEPERS);
  return {
    figures: [
      {
        name: '4 concurrent sweepers: connections refreshed twice',
        baseline: 'counted at the token endpoint',
        value: several.doubles,
        unit: '',
        better: 'less',
        atLeast: 0,
        aimAt: 0,
        measured: `${several.doubles} of ${DUE}`,
      },
      {
        name: '4 concurrent sweepers: throughput',
        baseline: '1 sweeper',
        value: one.milliseconds / several.milliseconds,
        unit: '×',
        better: 'more',
        atLeast: 1,
        aimAt: 2,
        measured: `${(several.milliseconds / 1_000).toFixed(1)} s against ${(one.milliseconds / 1_000).toFixed(1)} s`,
      },
    ],
    report: [],
  };
}

import type { Bench } from '../bench.ts';
import type { Findings } from '../figure.ts';
import { type MeasuredSweep, sweepOnce } from '../sweep-once.ts';

/** So many that the start of four processes does not matter. */
const DUE = 60_000;
const SWEEPERS = 4;

/** An endpoint so far away that one sweeper mostly waits. */
const DISTANT_LATENCY_MILLISECONDS = 300;
const DUE_AT_A_DISTANCE = 20_000;

/** Whether sweepers get in each other's way. */
export async function measureConcurrentSweepers(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  bench.progress(`1 sweeper: ${DUE} due connections`);
  const one = await sweepOnce(world, DUE);
  bench.progress(`${SWEEPERS} sweepers: ${DUE} due connections`);
  const several = await sweepOnce(world, DUE, SWEEPERS);

  await world.tokenEndpoint.ask('setLatency', DISTANT_LATENCY_MILLISECONDS);
  bench.progress(
    `1 and ${SWEEPERS} sweepers, answers after ${DISTANT_LATENCY_MILLISECONDS} ms: ${DUE_AT_A_DISTANCE} due`,
  );
  const oneAtADistance = await sweepOnce(world, DUE_AT_A_DISTANCE);
  const severalAtADistance = await sweepOnce(world, DUE_AT_A_DISTANCE, SWEEPERS);
  await world.tokenEndpoint.ask('setLatency', null);
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
        measured: compareSeconds(several, one),
      },
      {
        name: 'the same, answers after 300 ms',
        baseline: '1 sweeper',
        value: oneAtADistance.milliseconds / severalAtADistance.milliseconds,
        unit: '×',
        better: 'more',
        atLeast: 2,
        aimAt: 3,
        measured: compareSeconds(severalAtADistance, oneAtADistance),
      },
    ],
    report: [],
  };
}

function compareSeconds(several: MeasuredSweep, one: MeasuredSweep): string {
  return `${(several.milliseconds / 1_000).toFixed(1)} s against ${(one.milliseconds / 1_000).toFixed(1)} s`;
}

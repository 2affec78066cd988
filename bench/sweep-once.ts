import { nodeFlags } from 'cdk-out-local';
import type { World } from './bench.ts';
import { startChild } from './child.ts';
import { fillProfiles, fillQueue } from './database.ts';
import type { SweeperCalls } from './processes/sweeper.ts';

/** What a sweep did and cost, as reported by its process, the token endpoint and the REST interface. */
export interface MeasuredSweep {
  readonly refreshed: number;
  /** From the first invocation to the end of the last. */
  readonly milliseconds: number;
  /** Of the sweeper's process, without its start. */
  readonly cpuMilliseconds: number;
  /** What V8's full collections left, median. */
  readonly heldMegabytes: number;
  /** Resident memory of the sweeper's process, its start included. */
  readonly peakMegabytes: number;
  readonly roundTrips: number;
  readonly doubles: number;
  readonly mostUnderWay: number;
}

/**
 * Fills the database with due connections, and sweeps them in new processes.
 *
 * @param sweepers how many processes sweep at once; several are helpers, invoked by messages of the sweep queue. CPU time is
 *   their sum, memory that of the largest
 * @throws Error if a connection is still due, which makes the measurement worthless
 */
export async function sweepOnce(
  { database, supabase, tokenEndpoint, functions }: World,
  due: number,
  sweepers = 1,
): Promise<MeasuredSweep> {
  await fillProfiles(database.superuserUrl, due);
  await fillQueue(database.superuserUrl, 'all are due');

  await using started = new AsyncDisposableStack();
  const processes = Array.from({ length: sweepers }, () =>
    started.use(
      startChild<SweeperCalls>('sweeper.ts', {
        env: { ...functions.sweeper.environment },
        execArgv: [
          ...nodeFlags(functions.sweeper.memoryMegabytes),
          ...(process.env['BENCH_SWEEPER_FLAGS']?.split(' ') ?? []),
        ],
      }),
    ),
  );
  await Promise.all(processes.map((process) => process.ask('load', functions.sweeper.taskRoot)));
  await supabase.ask('countRequests');
  await tokenEndpoint.ask('count');

  const startedAt = performance.now();
  const sweeps = await Promise.all(
    processes.map((process) => process.ask('sweep', sweepers === 1 ? { command: 'sweep' } : wakeUp())),
  );
  const milliseconds = performance.now() - startedAt;
  const { calls, doubles, mostUnderWay } = await tokenEndpoint.ask('count');
  const roundTrips = await supabase.ask('countRequests');

  const refreshed = sum(sweeps.map(({ result }) => result.refreshed));
  if (refreshed + doubles !== calls || refreshed !== due) {
    throw new Error(
      `of ${due} due, ${refreshed} were refreshed with ${calls} calls: ${JSON.stringify(sweeps)}`,
    );
  }
  return {
    refreshed,
    milliseconds,
    cpuMilliseconds: sum(sweeps.map((sweep) => sweep.cpuMilliseconds)),
    heldMegabytes: Math.max(...sweeps.map((sweep) => sweep.heldMegabytes)),
    peakMegabytes: Math.max(...sweeps.map((sweep) => sweep.peakMegabytes)),
    roundTrips,
    doubles,
    mostUnderWay,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The event of a message of the sweep queue. */
function wakeUp() {
  const now = String(Date.now());
  return {
    Records: [
      {
        eventSource: 'aws:sqs',
        body: JSON.stringify({ scheduledAt: null, ageSeconds: 0, link: 0 }),
        attributes: { SentTimestamp: now, ApproximateFirstReceiveTimestamp: now },
      },
    ],
  };
}

import type { Bench } from '../bench.ts';
import { startChild } from '../child.ts';
import { fillProfiles } from '../database.ts';
import { type Findings, median } from '../figure.ts';
import type { BareClient } from '../processes/bare-client.ts';
import type { ObviousProgram } from '../processes/obvious-program.ts';
import { sweepOnce } from '../sweep-once.ts';

const DUE = 20_000;
/** Both by turns: a moment in which the machine is slow hits one of them only. */
const ROUNDS = 5;
const OBVIOUS_USERS = 500;
const OBVIOUS_ROUND_TRIPS_PER_THOUSAND = 2_000;

interface Round {
  readonly concurrency: number;
  readonly roundTrips: number;
  /** Tokens per second. */
  readonly swept: number;
  /** The bare client's calls per second. */
  readonly barely: number;
  /** Milliseconds of processor time for each. */
  readonly sweepCpu: number;
  readonly bareCpu: number;
}

/** A sweep of 20,000 due connections, against the obvious program and a bare HTTP client. */
export async function measureSweep(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  const { tokenUrl } = world;

  bench.progress(`The obvious program: ${OBVIOUS_USERS} users, one after another`);
  const { superuserUrl } = await bench.createDatabaseWithoutMigrations('obvious');
  await fillProfiles(superuserUrl, OBVIOUS_USERS);
  await using obviousProgram = startChild<ObviousProgram>('obvious-program.ts');
  const obvious = await obviousProgram.ask('refresh', {
    databaseUrl: superuserUrl,
    tokenUrl,
    count: OBVIOUS_USERS,
  });

  const perSecond = (count: number, milliseconds: number) => (count * 1_000) / milliseconds;
  const rounds: Round[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    bench.progress(`The sweeper: ${DUE} due connections, round ${round} of ${ROUNDS}`);
    const sweep = await sweepOnce(world, DUE);
    const concurrency = sweep.mostUnderWay;
    bench.progress(`The bare client: ${DUE} calls, ${concurrency} at once`);
    // A new process, as the sweeper's is: a warm one needs less processor time.
    await using bareClient = startChild<BareClient>('bare-client.ts');
    const bare = await bareClient.ask('refresh', { tokenUrl, count: DUE, concurrency });
    rounds.push({
      concurrency,
      roundTrips: sweep.roundTrips,
      swept: perSecond(DUE, sweep.milliseconds),
      barely: perSecond(DUE, bare.milliseconds),
      sweepCpu: sweep.cpuMilliseconds / DUE,
      bareCpu: bare.cpuMilliseconds / DUE,
    });
  }

  const obviously = perSecond(OBVIOUS_USERS, obvious.milliseconds);
  const medianOf = (figure: (round: Round) => number) => median(rounds.map(figure));
  const ofBare = rounds.map(({ swept, barely }) => swept / barely).toSorted((one, other) => one - other);
  const swept = medianOf((round) => round.swept);
  const barely = medianOf((round) => round.barely);
  const sweepCpu = medianOf((round) => round.sweepCpu);
  const bareCpu = medianOf((round) => round.bareCpu);
  const sweepRoundTrips = medianOf((round) => round.roundTrips);
  const roundTrips = (sweepRoundTrips * 1_000) / DUE;
  return {
    figures: [
      {
        name: 'sweep throughput, 20,000 due',
        baseline: 'the obvious program, one user after another',
        value: swept / obviously,
        unit: '×',
        better: 'more',
        atLeast: 150,
        aimAt: 200,
        measured: `${swept.toFixed(0)}/s against ${obviously.toFixed(1)}/s`,
      },
      {
        name: 'the same',
        baseline: 'a bare HTTP client (undici) at the same concurrency, no database',
        value: median(ofBare),
        unit: '×',
        better: 'more',
        atLeast: 0.85,
        aimAt: 0.95,
        measured: `${swept.toFixed(0)}/s against ${barely.toFixed(0)}/s, ${medianOf(({ concurrency }) => concurrency)} calls at once`,
      },
      {
        name: 'CPU time of the sweeper per refreshed token',
        baseline: "the bare client's per call",
        value: medianOf((round) => round.sweepCpu / round.bareCpu),
        unit: '×',
        better: 'less',
        atLeast: 2.5,
        aimAt: 1.8,
        measured: `${sweepCpu.toFixed(3)} ms against ${bareCpu.toFixed(3)} ms`,
      },
      {
        name: 'database round trips per 1,000 refreshed',
        baseline: "the obvious program's 2,000",
        value: roundTrips,
        unit: '',
        better: 'less',
        atLeast: 4.2,
        aimAt: 4,
        measured: `${sweepRoundTrips} for ${DUE}, against ${OBVIOUS_ROUND_TRIPS_PER_THOUSAND} per 1,000`,
      },
    ],
    report: [
      `Throughput against the bare client, each round: ${ofBare.map((ratio) => `${ratio.toFixed(2)}×`).join(', ')}.`,
    ],
  };
}

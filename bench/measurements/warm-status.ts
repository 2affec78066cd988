import { createClient } from '@supabase/supabase-js';
import { ExecutionEnvironment } from '../../local/aws/execution-environment.ts';
import type { Bench } from '../bench.ts';
import { type Findings, median } from '../figure.ts';
import { assertConnected, prepareStatusRequest } from '../status-request.ts';

const WARM_UP = 300;
const CALLS = 1_000;

/** A status call with nothing to refresh, through the runtime client, against the one database call that it makes. */
export async function measureWarmStatus(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  const { userId, event } = await prepareStatusRequest(world);
  const { status } = world.functions;
  const environment = await ExecutionEnvironment.start({
    functionArn: status.arn,
    taskRoot: status.taskRoot,
    environment: status.environment,
    timeoutSeconds: status.timeoutSeconds,
    onLogLine: () => {},
  });
  await using _ended = { [Symbol.asyncDispose]: () => environment.stop() };
  const supabase = createClient(world.supabaseUrl, world.secretKey, { auth: { persistSession: false } });

  const answerStatus = async (): Promise<void> => {
    const { payload } = await environment.invoke('bench', event);
    assertConnected(payload);
  };
  const callDatabase = async (): Promise<void> => {
    const parameters = { for_user: userId, refresh_within: '300 seconds', lease: '15 seconds' };
    const { error } = await supabase.rpc('spotify_check_connection', parameters);
    if (error !== null) throw new Error(error.message);
  };

  bench.progress(`${CALLS} status calls and ${CALLS} bare database calls, by turns`);
  const statusTimes: number[] = [];
  const databaseTimes: number[] = [];
  for (let call = 0; call < WARM_UP + CALLS; call += 1) {
    const isCounted = call >= WARM_UP;
    const forStatus = await timeOf(answerStatus);
    const forDatabase = await timeOf(callDatabase);
    if (isCounted) {
      statusTimes.push(forStatus);
      databaseTimes.push(forDatabase);
    }
  }

  return {
    figures: [
      {
        name: 'status, warm, token valid, median, through the runtime client',
        baseline: 'the bare database call, through the same client library',
        value: median(statusTimes) / median(databaseTimes),
        unit: '×',
        better: 'less',
        atLeast: 1.5,
        aimAt: 1.15,
        measured: `${median(statusTimes).toFixed(2)} ms against ${median(databaseTimes).toFixed(2)} ms`,
      },
    ],
    report: [],
  };
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgrestClient } from '@supabase/postgrest-js';
import { ExecutionEnvironment } from 'cdk-out-local';
import { build } from 'esbuild';
import type { Bench } from '../bench.ts';
import type { DeployedFunction } from '../deployed-function.ts';
import { type Findings, median } from '../figure.ts';
import { assertConnected, prepareStatusRequest } from '../status-request.ts';

const WARM_UP = 300;
const CALLS = 1_000;

/** A handler that only makes the database call, with Supabase's own client. */
const BARE_HANDLER = `
  import { PostgrestClient } from '@supabase/postgrest-js';
  const { SUPABASE_REST_URL, SUPABASE_KEY } = process.env;
  const rest = new PostgrestClient(SUPABASE_REST_URL, { headers: { apikey: SUPABASE_KEY } });
  export async function handler(parameters) {
    const { data, error } = await rest.rpc('spotify_check_connection', parameters);
    if (error !== null) throw new Error(error.message);
    return data.state;
  }`;

/** A status call without a refresh against its one database call, both through the runtime client. */
export async function measureWarmStatus(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  const { userId, event } = await prepareStatusRequest(world);
  const { status } = world.functions;
  const directory = await mkdtemp(join(tmpdir(), 'spotify-auth-bare-'));
  await using ends = new AsyncDisposableStack();
  ends.defer(() => rm(directory, { recursive: true }));
  await build({
    stdin: { contents: BARE_HANDLER, resolveDir: import.meta.dirname },
    outfile: join(directory, 'index.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    minify: true,
  });
  const key = { SUPABASE_REST_URL: `${world.supabaseUrl}/rest/v1`, SUPABASE_KEY: world.secretKey };
  const forStatus = await start(status);
  ends.defer(() => forStatus.stop());
  const forBareCall = await start({
    ...status,
    taskRoot: directory,
    environment: { ...status.environment, ...key, LAMBDA_TASK_ROOT: directory },
  });
  ends.defer(() => forBareCall.stop());
  const rest = new PostgrestClient(key.SUPABASE_REST_URL, { headers: { apikey: key.SUPABASE_KEY } });
  const parameters = { for_user: userId, refresh_within: '300 seconds', lease: '15 seconds' };

  const times = { status: [] as number[], bareCall: [] as number[], outside: [] as number[] };
  bench.progress(`${CALLS} status calls and ${CALLS} bare database calls, by turns`);
  for (let call = 0; call < WARM_UP + CALLS; call += 1) {
    const status = await timeOf(async () =>
      assertConnected((await forStatus.invoke('bench', event)).payload),
    );
    const bareCall = await timeOf(() => forBareCall.invoke('bench', JSON.stringify(parameters)));
    const outside = await timeOf(async () => rest.rpc('spotify_check_connection', parameters));
    if (call >= WARM_UP) {
      times.status.push(status);
      times.bareCall.push(bareCall);
      times.outside.push(outside);
    }
  }

  const [ours, bare, outside] = [times.status, times.bareCall, times.outside].map(median) as [
    number,
    number,
    number,
  ];
  return {
    figures: [
      {
        name: 'status, warm, token valid, median, through the runtime client',
        baseline: 'a handler that makes the bare database call with the client of Supabase',
        value: ours / bare,
        unit: '×',
        better: 'less',
        atLeast: 1.12,
        aimAt: 1.05,
        measured: `${ours.toFixed(2)} ms against ${bare.toFixed(2)} ms`,
      },
    ],
    report: [
      `The bare database call without a runtime client around it took ${outside.toFixed(2)} ms: ${(ours / outside).toFixed(2)}×.`,
    ],
  };
}

function start(deployed: DeployedFunction): Promise<ExecutionEnvironment> {
  return ExecutionEnvironment.start({
    functionArn: deployed.arn,
    taskRoot: deployed.taskRoot,
    environment: deployed.environment,
    timeoutSeconds: deployed.timeoutSeconds,
    onLogLine: () => {},
  });
}

async function timeOf(work: () => PromiseLike<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

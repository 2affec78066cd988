import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExecutionEnvironment } from 'cdk-out-local';
import { build } from 'esbuild';
import type { Bench } from '../bench.ts';
import type { DeployedFunction } from '../deployed-function.ts';
import { type Findings, median } from '../figure.ts';
import { assertConnected, prepareStatusRequest } from '../status-request.ts';

const STARTS = 15;

const HELLO_WORLD = `export const handler = async () => ({ statusCode: 200, body: JSON.stringify({ connected: true }) });`;

/** From the start of the process to its first answer, including the reads of secrets and key set. */
export async function measureColdStart(bench: Bench): Promise<Findings> {
  const world = await bench.world();
  const { event } = await prepareStatusRequest(world);
  const { status } = world.functions;
  const directory = await mkdtemp(join(tmpdir(), 'spotify-auth-hello-'));
  await using _removed = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
  await build({
    stdin: { contents: HELLO_WORLD },
    outfile: join(directory, 'index.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    minify: true,
    sourcemap: true,
  });
  const helloWorld = {
    ...status,
    taskRoot: directory,
    environment: { ...status.environment, LAMBDA_TASK_ROOT: directory },
  };

  bench.progress(`${STARTS} cold starts of the status function and of a hello world, by turns`);
  const statusTimes: number[] = [];
  const helloTimes: number[] = [];
  for (let start = 0; start < STARTS + 1; start += 1) {
    const forHello = await startOnce(helloWorld, event);
    const forStatus = await startOnce(status, event);
    // The first start of each reads its files from disk.
    if (start > 0) {
      helloTimes.push(forHello);
      statusTimes.push(forStatus);
    }
  }

  return {
    figures: [
      {
        name: 'cold start of the status function, first answer included, median',
        baseline: 'a hello-world bundle under the same runtime client',
        value: median(statusTimes) / median(helloTimes),
        unit: '×',
        better: 'less',
        atLeast: 1.7,
        aimAt: 1.4,
        measured: `${median(statusTimes).toFixed(0)} ms against ${median(helloTimes).toFixed(0)} ms`,
      },
    ],
    report: [],
  };
}

async function startOnce(deployed: DeployedFunction, event: string): Promise<number> {
  const startedAt = performance.now();
  const environment = await ExecutionEnvironment.start({
    functionArn: deployed.arn,
    taskRoot: deployed.taskRoot,
    environment: deployed.environment,
    timeoutSeconds: deployed.timeoutSeconds,
    onLogLine: () => {},
  });
  const { payload } = await environment.invoke('bench', event);
  const milliseconds = performance.now() - startedAt;
  await environment.stop();
  assertConnected(payload);
  return milliseconds;
}

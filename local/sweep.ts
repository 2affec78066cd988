import { setInterval } from 'node:timers';
import { readState } from './state-file.ts';

const USAGE = `Usage: npm run sweep               runs one sweep now
       npm run sweep -- <user-id>  refreshes one user's connection now
Works on the stack that "npm start" runs.`;

const PROGRESS_INTERVAL_MILLISECONDS = 2_000;

/** Invokes the sweeper of the running stack and prints the function's own result. */
async function main(args: readonly string[]): Promise<void> {
  const [userId] = args;
  if (args.length > 1 || userId?.startsWith('-')) throw new Error(USAGE);
  const { lambdaUrl, sweeperFunctionName } = await readState();

  const startedAt = performance.now();
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    process.stderr.write(`still sweeping, ${seconds} s (connections that back off are waited for)\n`);
  }, PROGRESS_INTERVAL_MILLISECONDS);
  try {
    const response = await fetch(`${lambdaUrl}/2015-03-31/functions/${sweeperFunctionName}/invocations`, {
      method: 'POST',
      body: JSON.stringify(userId === undefined ? {} : { userId }),
    });
    const result: unknown = await response.json();
    if (!response.ok || response.headers.has('x-amz-function-error')) process.exitCode = 1;
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } finally {
    clearInterval(progress);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

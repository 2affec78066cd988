import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Bench } from '../bench.ts';
import { type Findings, median } from '../figure.ts';

const STARTS = 5;

const projectRoot = join(import.meta.dirname, '../..');

/** From `npm start` to Ready: once with an empty cache, then with the stack that was synthesized last. */
export async function measureReady(bench: Bench): Promise<Findings> {
  bench.progress('npm start, with nothing kept of an earlier one');
  await rm(join(projectRoot, '.local/synthesized'), { recursive: true, force: true });
  const first = await startOnce();
  bench.progress(`npm start, ${STARTS} times`);
  const later: number[] = [];
  for (let start = 0; start < STARTS; start += 1) later.push(await startOnce());
  return {
    figures: [
      {
        name: 'npm start to Ready, median',
        baseline: 'the first one, which synthesizes the stack',
        value: median(later),
        unit: ' s',
        better: 'less',
        atLeast: 5,
        aimAt: 3,
        measured: `${median(later).toFixed(1)} s against ${first.toFixed(1)} s`,
      },
    ],
    report: [],
  };
}

async function startOnce(): Promise<number> {
  const startedAt = performance.now();
  const child = spawn('npm', ['start'], { cwd: projectRoot, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let seconds: number | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('Ready')) continue;
    seconds = (performance.now() - startedAt) / 1_000;
    child.kill('SIGINT');
  }
  await ended;
  if (seconds === undefined) throw new Error('npm start ended before it was ready');
  return seconds;
}

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { getHeapSpaceStatistics } from 'node:v8';
import type { Context } from 'aws-lambda';
import { answerQuestions } from '../child.ts';
import { median } from '../figure.ts';
import { measureUsage } from '../usage.ts';

/** The part of the sweeper's result that the bench reads. */
export interface SweepResult {
  readonly status: string;
  readonly refreshed: number;
  readonly total: number;
  readonly remaining: number;
}

const TIMEOUT_MILLISECONDS = 900_000;

type GarbageCollection = PerformanceEntry & { readonly detail: { readonly kind: number } };

/** Where V8 keeps surviving objects. */
const OLD_GENERATION = ['old_space', 'large_object_space'];

/** What each full collection left: live memory, without most of the garbage. */
const heldMegabytes: number[] = [];
new PerformanceObserver((list) => {
  const isFull = list
    .getEntries()
    .some((entry) => (entry as GarbageCollection).detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR);
  if (isFull) heldMegabytes.push(heldBytes() / 2 ** 20);
}).observe({ entryTypes: ['gc'] });

function heldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => OLD_GENERATION.includes(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0);
}

type Handler = (event: unknown, context: Context) => Promise<SweepResult>;
let handler: Handler | undefined;

/** The sweeper's bundle in the function's environment, invoked without the runtime client. */
const calls = {
  async load(taskRoot: string) {
    const bundle: { readonly handler: Handler } = await import(
      pathToFileURL(join(taskRoot, 'index.mjs')).href
    );
    handler = bundle.handler;
  },
  async sweep(event: unknown) {
    const startedAt = performance.now();
    const usage = await measureUsage(
      async () => handler?.(event, contextStartedAt(startedAt)) as Promise<SweepResult>,
    );
    return {
      ...usage,
      heldMegabytes: median(heldMegabytes),
      peakMegabytes: process.resourceUsage().maxRSS / 1_024,
    };
  },
};

export type SweeperCalls = typeof calls;

function contextStartedAt(startedAt: number): Context {
  return {
    functionName: process.env['AWS_LAMBDA_FUNCTION_NAME'] ?? '',
    functionVersion: '$LATEST',
    invokedFunctionArn: '',
    memoryLimitInMB: process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? '',
    awsRequestId: randomUUID(),
    logGroupName: '',
    logStreamName: '',
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => TIMEOUT_MILLISECONDS - (performance.now() - startedAt),
    done() {},
    fail() {},
    succeed() {},
  };
}

answerQuestions(calls);

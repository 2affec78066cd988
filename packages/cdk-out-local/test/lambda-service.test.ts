import { EventEmitter, once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { Metrics } from '../src/cloudwatch/metrics.ts';
import { CredentialIssuer } from '../src/credentials.ts';
import { LambdaService } from '../src/lambda-service.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

const code = {
  worker: `
    export const handler = async ({ does, forMillis }, context) => {
      if (does === 'throw') throw new TypeError('no such thing');
      if (does === 'exit') process.exit(3);
      if (does === 'hang') {
        process.stdout.write('hanging\\n');
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      }
      if (does === 'log') console.log('hello');
      if (does === 'log much') for (let line = 1; line <= 5_000; line += 1) process.stdout.write(line + ' of 5000\\n');
      if (does === 'log half a line') process.stderr.write('half a line');
      if (does === 'replace') process.stdout.write = () => true;
      if (does === 'close') process.stdout.end();
      if (does === 'hold back') process.stdout.cork();
      if (does === 'metrics') process.stdout.write('{"_aws":{}}\\n{"level":"ERROR"}\\n');
      if (does === 'wait') await new Promise((resolve) => setTimeout(resolve, forMillis));
      return {
        pid: process.pid,
        environment: process.env,
        flags: process.execArgv,
        cwd: process.cwd(),
        requestId: context.awsRequestId,
        arn: context.invokedFunctionArn,
        remainingMillis: context.getRemainingTimeInMillis(),
      };
    };`,
  broken: `throw new RangeError('bad start');`,
  slow: `
    await new Promise((resolve) => setTimeout(resolve, 10_200));
    export const handler = async () => 'started';`,
  stuck: `await new Promise((resolve) => setTimeout(resolve, 60_000));`,
};

const logLines: string[] = [];
/** Emits each line. */
const log = new EventEmitter();
const metrics = new Metrics();
let lambda: LambdaService;

beforeAll(() => {
  const template = loadTemplate(
    createFakeCdkOut(
      {
        workerRole: createRole('lambda.amazonaws.com'),
        worker: createFunction('worker', {
          Timeout: 2,
          MemorySize: 512,
          LoggingConfig: { LogFormat: 'JSON' },
          Environment: { Variables: { PLACE: 'cloud', COLOUR: 'blue' } },
        }),
        quiet: createFunction('worker', {
          FunctionName: 'quiet',
          LoggingConfig: { LogFormat: 'JSON', ApplicationLogLevel: 'ERROR' },
        }),
        brief: createFunction('worker', { FunctionName: 'brief', Timeout: 1 }),
        brokenRole: createRole('lambda.amazonaws.com'),
        broken: createFunction('broken'),
        slowRole: createRole('lambda.amazonaws.com'),
        slow: createFunction('slow', { Timeout: 30 }),
        stuckRole: createRole('lambda.amazonaws.com'),
        stuck: createFunction('stuck', { Timeout: 1 }),
      },
      code,
    ),
  );
  lambda = new LambdaService({
    template,
    access: new AccessControl(template),
    credentials: new CredentialIssuer(),
    serviceEndpoints: { AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:1' },
    environmentOverrides: { PLACE: 'here' },
    metrics,
    onLog: (source, line) => {
      logLines.push(`${source}: ${line}`);
      log.emit(line);
    },
  });
});

afterAll(() => lambda.stop());

async function invoke(event: unknown, functionName = 'worker') {
  const { payload, functionError } = await lambda.invoke(functionName, event);
  return { functionError, result: JSON.parse(payload) };
}

test('a function is told what Lambda tells it', async () => {
  const { functionError, result } = await invoke({});
  expect(functionError).toBeUndefined();
  expect(result.requestId).toMatch(/^[0-9a-f-]{36}$/);
  expect(result.arn).toBe('arn:aws:lambda:us-east-1:123456789012:function:worker');
  expect(result.remainingMillis).toBeGreaterThan(1_000);
  expect(result.remainingMillis).toBeLessThanOrEqual(2_000);
  expect(result.cwd).toMatch(/asset\.worker$/);
  expect(result.environment).toMatchObject({
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512',
    AWS_LAMBDA_FUNCTION_NAME: 'worker',
    AWS_LAMBDA_LOG_FORMAT: 'JSON',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:1',
    COLOUR: 'blue',
    PLACE: 'here',
    TZ: ':UTC',
  });
});

test('a function runs with the flags of Lambda, which come to its memory', async () => {
  const { result } = await invoke({});
  expect(result.flags.slice(0, 4)).toEqual([
    '--expose-gc',
    '--max-http-header-size=81920',
    '--max-semi-space-size=25',
    '--max-old-space-size=461',
  ]);
});

test('a function sees nothing of the environment of this machine but its path', async () => {
  const { result } = await invoke({});
  const inherited = Object.keys(result.environment).filter((name) => name in process.env);
  expect(inherited.filter((name) => !['LANG', 'TZ'].includes(name))).toEqual(['PATH']);
});

test('one process serves one invocation after the other', async () => {
  const first = await invoke({});
  const second = await invoke({});
  expect(second.result.pid).toBe(first.result.pid);
});

test('an invocation too many is throttled, and counted as that, until another one has ended', async () => {
  lambda.limitConcurrency(1);
  const first = invoke({ does: 'wait', forMillis: 100 });
  const second = await invoke({}, 'quiet');
  await first;
  const third = await invoke({});
  lambda.limitConcurrency(1_000);

  expect(second).toMatchObject({
    functionError: 'Unhandled',
    result: { errorType: 'TooManyRequestsException' },
  });
  expect(third.functionError).toBeUndefined();
  const throttles = { namespace: 'AWS/Lambda', name: 'Throttles' };
  const of = (FunctionName: string) =>
    metrics.valuesOf({ ...throttles, dimensions: { FunctionName } }, 0, Number.POSITIVE_INFINITY);
  expect([of('quiet'), of('worker')]).toEqual([[1], []]);
});

test('after a redeployment invocations start afresh, and the one under way ends in its own process', async () => {
  const before = await invoke({});
  const underWay = invoke({ does: 'wait', forMillis: 200 });
  await lambda.redeploy('worker');

  const after = await invoke({});

  expect((await underWay).result.pid).toBe(before.result.pid);
  expect(after.result.pid).not.toBe(before.result.pid);
  expect((await invoke({})).result.pid).toBe(after.result.pid);
});

test('a function that is inspected has one process, which outlives its timeout', async () => {
  await lambda.inspect('brief', 0);

  const [first, second] = await Promise.all([
    invoke({ does: 'wait', forMillis: 1_100 }, 'brief'),
    invoke({}, 'brief'),
  ]);

  expect(logLines).toContainEqual(
    expect.stringMatching(/^brief: Debugger listening on ws:\/\/127\.0\.0\.1:/),
  );
  expect(first.functionError).toBeUndefined();
  expect(second.result.pid).toBe(first.result.pid);
  await lambda.redeploy('brief');
  expect((await invoke({}, 'brief')).result.pid).not.toBe(first.result.pid);
});

test('two invocations at a time have a process each', async () => {
  const [first, second] = await Promise.all([
    invoke({ does: 'wait', forMillis: 100 }),
    invoke({ does: 'wait', forMillis: 100 }),
  ]);
  expect(second.result.pid).not.toBe(first.result.pid);
});

test('after idle environments were stopped, the next invocation has a fresh process', async () => {
  const first = await invoke({});
  await lambda.stopIdleEnvironments();
  expect(() => process.kill(first.result.pid, 0)).toThrow('ESRCH');
  const second = await invoke({});
  expect(second.result.pid).not.toBe(first.result.pid);
});

test('what a function logs is passed on line by line', async () => {
  await invoke({ does: 'log' });
  const line = logLines.find((candidate) => candidate.includes('hello')) ?? '';
  expect(JSON.parse(line.replace('worker: ', ''))).toMatchObject({ level: 'INFO', message: 'hello' });
});

test('all of it has been when the invocation is over', async () => {
  const before = logLines.length;
  await invoke({ does: 'log much' });
  expect(logLines.slice(before)).toHaveLength(5_000);
  await invoke({ does: 'log half a line' });
  expect(logLines.slice(before + 5_000)).toEqual(['worker: half a line']);
});

test.each(['replace', 'close', 'hold back'])(
  'whatever a function does to its output, its process serves on: %s',
  async (does) => {
    const { result } = await invoke({ does });
    expect((await invoke({})).result.pid).toBe(result.pid);
    await lambda.stopIdleEnvironments();
  },
);

test('what is below the configured level is not', async () => {
  await invoke({ does: 'metrics' }, 'quiet');
  expect(logLines.filter((line) => line.startsWith('quiet: '))).toEqual(['quiet: {"level":"ERROR"}']);
});

describe('a failed invocation says what Lambda says', () => {
  test('for a thrown error; the process lives on', async () => {
    const { pid } = (await invoke({})).result;
    const { functionError, result } = await invoke({ does: 'throw' });
    expect(functionError).toBe('Unhandled');
    expect(result).toMatchObject({ errorType: 'TypeError', errorMessage: 'no such thing' });
    expect((await invoke({})).result.pid).toBe(pid);
  });

  test('for an exit; the next invocation has a new process', async () => {
    const { functionError, result } = await invoke({ does: 'exit' });
    expect(functionError).toBe('Unhandled');
    expect(result.errorType).toBe('Runtime.ExitError');
    expect(result.errorMessage).toMatch(/Error: Runtime exited with error: exit status 3$/);
    expect((await invoke({})).functionError).toBeUndefined();
  });

  test('for a timeout; the process is killed', async () => {
    const { pid } = (await invoke({})).result;
    const { functionError, result } = await invoke({ does: 'hang' });
    expect(functionError).toBe('Unhandled');
    expect(result.errorType).toBe('Sandbox.Timedout');
    expect(result.errorMessage).toMatch(/Error: Task timed out after 2.00 seconds$/);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(logLines.at(-1)).toMatch(/"type":"platform.report".*"status":"timeout"/);
  });

  test('for an error while the code is loaded', async () => {
    const { functionError, result } = await invoke({}, 'broken');
    expect(functionError).toBe('Unhandled');
    expect(result).toMatchObject({ errorType: 'RangeError', errorMessage: 'bad start' });
  });
});

test('a start may take ten seconds, and then as long as an invocation', async () => {
  const [slow, stuck] = await Promise.all([invoke({}, 'slow'), invoke({}, 'stuck')]);
  expect(slow).toEqual({ functionError: undefined, result: 'started' });
  expect(stuck).toMatchObject({
    functionError: 'Unhandled',
    result: { errorMessage: expect.stringMatching(/Error: Task timed out after 1\.00 seconds$/) },
  });
});

test('killing busy environments ends the invocations under way and leaves those alone that wait for work', async () => {
  const [idle, busy] = await Promise.all([
    invoke({ does: 'wait', forMillis: 100 }),
    invoke({ does: 'wait', forMillis: 100 }),
  ]).then((answers) => answers.map(({ result }) => result.pid));
  // The environment that was used last serves first.
  const isUnderWay = once(log, 'hanging');
  const underWay = invoke({ does: 'hang' });
  await isUnderWay;

  await lambda.killBusyEnvironments();

  expect((await underWay).result.errorType).toBe('Runtime.ExitError');
  const isAlive = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  expect([idle, busy].filter(isAlive)).toHaveLength(1);
});

test('every invocation is measured, and those that fail', async () => {
  const from = Date.now();
  const valuesOf = (name: string) =>
    metrics.valuesOf(
      { namespace: 'AWS/Lambda', name, dimensions: { FunctionName: 'worker' } },
      from,
      Number.POSITIVE_INFINITY,
    );
  await invoke({ does: 'wait', forMillis: 100 });
  await invoke({ does: 'throw' });

  expect(valuesOf('Invocations')).toEqual([1, 1]);
  expect(valuesOf('Errors')).toEqual([0, 1]);
  // The timer of the function may be a millisecond early.
  expect(valuesOf('Duration')[0]).toBeGreaterThanOrEqual(99);
});

test('stopping ends the invocations under way', async () => {
  const { pid } = (await invoke({})).result;
  const isUnderWay = once(log, 'hanging');
  const underWay = invoke({ does: 'hang' });
  await isUnderWay;
  await lambda.stop();
  expect((await underWay).result.errorType).toBe('Runtime.ExitError');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('an unknown function is refused', async () => {
  await expect(lambda.invoke('nobody', {})).rejects.toThrow('the stack has no function nobody');
});

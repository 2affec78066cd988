import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestStack } from './test-stack.ts';

const CONNECTIONS = 300;
const CONNECTIONS_PER_INVOCATION = 100;

/** Small, so that leases are short: the first invocation waits for those of one that dies. */
const BATCH_SIZE = 8;

/** An invocation makes its first call alone. */
const CALLS_AT_ONCE = 1;

let stack: TestStack;

beforeAll(async () => {
  stack = await TestStack.start({
    environmentOverrides: {
      SWEEP_BATCH_SIZE: String(BATCH_SIZE),
      SWEEP_CONNECTIONS_PER_INVOCATION: String(CONNECTIONS_PER_INVOCATION),
    },
    // Longer than an invocation lasts here, as in the template.
    visibilityTimeoutSeconds: 10,
  });
  await stack.sql('delete from auth.users');
});

afterAll(() => stack.stop());

test('a scheduled sweep fans out over three invocations, one of them is killed: all is fresh, nothing refreshed twice', async () => {
  const { cloud, spotify } = stack.stack;
  const ids = await stack.createDueConnections(CONNECTIONS);
  // Until the kill no call is answered: whatever is refreshed twice after it is refreshed twice in spite of the leases.
  spotify.setFault({ kind: 'hang' });

  const sweep = cloud.invokeAsync(sweeperArn(), {
    command: 'sweep',
    scheduledAt: new Date().toISOString(),
  });
  await until(() => spotify.calls.length >= 3 * CALLS_AT_ONCE);
  await cloud.lambda.killNewestBusyEnvironment();
  spotify.setFault(undefined);
  const held = await heldConnections();
  // The calls that the two others had under way run into their timeouts. Their connections back off: not in this test.
  await until(async () => (await backingOff()) === 2 * CALLS_AT_ONCE);
  await stack.sql(
    'update spotify_auth.connections set claimable_at = null, due_at = expires_at where lease_id is null',
  );
  await sweep;

  expect(held).toBeGreaterThanOrEqual(3 * CALLS_AT_ONCE);
  expect(await stack.dueCount()).toBe(0);
  const refreshed = spotify.calls.filter(({ outcome }) => outcome === 'refreshed');
  expect(refreshed.map(({ userId }) => userId).toSorted()).toEqual(ids.toSorted());
  expect(lines('further invocations woken')).toEqual([expect.objectContaining({ count: 2, link: 0 })]);
  // The first one, two that helped, and the one that was woken again by the message of the killed one.
  await until(() => cloud.queues.get(sweepQueueUrl()).messages.length === 0);
  expect(
    lines('sweep finished')
      .map(({ role }) => role)
      .toSorted(),
  ).toEqual(['first', 'helper', 'helper']);
  expect(cloud.queues.all.flatMap(({ messages }) => messages)).toEqual([]);
});

test('a small sweep does not touch the queue', async () => {
  await stack.createDueConnections(CONNECTIONS_PER_INVOCATION);
  stack.logLines.length = 0;
  stack.stack.cloud.sqs.makeTrouble(true);

  const { result } = await stack.sweep();
  stack.stack.cloud.sqs.makeTrouble(false);

  expect(result).toMatchObject({ status: 'completed', refreshed: CONNECTIONS_PER_INVOCATION });
  expect(lines('further invocations not woken')).toEqual([]);
});

function sweeperArn(): string {
  const name = stack.stack.cloud.template.outputs['SweeperFunctionName'];
  const functions = stack.stack.cloud.template.resourcesOfType('AWS::Lambda::Function');
  return functions.find(({ ref }) => ref === name)?.attributes.Arn ?? '';
}

function sweepQueueUrl(): string {
  const [mapping] = stack.stack.cloud.template.resourcesOfType('AWS::Lambda::EventSourceMapping');
  return mapping?.properties.EventSourceArn ?? '';
}

async function heldConnections(): Promise<number> {
  const [row] = await stack.sql<{ held: string }>(
    'select count(*) as held from spotify_auth.connections where lease_id is not null',
  );
  return Number(row?.held);
}

async function backingOff(): Promise<number> {
  const [row] = await stack.sql<{ failed: string }>(
    'select count(*) as failed from spotify_auth.connections where failures > 0',
  );
  return Number(row?.failed);
}

/** The log lines with a message, parsed. */
function lines(message: string): Record<string, unknown>[] {
  return stack.logLines.map((line) => JSON.parse(line)).filter((line) => line.message === message);
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

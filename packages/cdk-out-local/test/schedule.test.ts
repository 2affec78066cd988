import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { Queues } from '../src/queue.ts';
import { parseRate, Scheduler } from '../src/schedule.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

interface Arrangement {
  readonly mayInvoke?: boolean;
  readonly trusts?: string;
  readonly state?: string;
}

/** Lets a schedule run for a moment, every 20 ms. */
async function run({
  mayInvoke = true,
  trusts = 'scheduler.amazonaws.com',
  state = 'ENABLED',
}: Arrangement = {}) {
  const action = mayInvoke ? 'lambda:InvokeFunction' : 'lambda:GetFunction';
  const template = loadTemplate(
    createFakeCdkOut(
      {
        workerRole: createRole('lambda.amazonaws.com'),
        worker: createFunction('worker'),
        DeadLetters: { Type: 'AWS::SQS::Queue' },
        ScheduleRole: createRole(trusts, [
          { Effect: 'Allow', Action: action, Resource: { 'Fn::GetAtt': ['worker', 'Arn'] } },
          { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } },
        ]),
        Schedule: {
          Type: 'AWS::Scheduler::Schedule',
          Properties: {
            FlexibleTimeWindow: { Mode: 'OFF' },
            ScheduleExpression: 'rate(30 minutes)',
            State: state,
            Target: {
              Arn: { 'Fn::GetAtt': ['worker', 'Arn'] },
              RoleArn: { 'Fn::GetAtt': ['ScheduleRole', 'Arn'] },
              Input: '{"tick":{"scheduledAt":"<aws.scheduler.scheduled-time>"}}',
              DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['DeadLetters', 'Arn'] } },
            },
          },
        },
      },
      { worker: '' },
    ),
  );
  const queues = new Queues(template);
  const events: unknown[] = [];
  const scheduler = new Scheduler({
    template,
    access: new AccessControl(template),
    queues,
    invokeAsync: async (functionArn, event) => {
      events.push([functionArn, event]);
    },
    everySeconds: 0.02,
  });
  expect(events).toEqual([]);
  await sleep(100);
  scheduler.stop();
  const countAtStop = events.length;
  await sleep(50);
  expect(events).toHaveLength(countAtStop);
  const askedAt = Date.now();
  const { timetables } = scheduler;
  return { events, timetables, askedAt, answeredAt: Date.now(), deadLetters: queues.all[0]?.messages ?? [] };
}

test('a schedule invokes its function with the time it was scheduled for, until it is stopped', async () => {
  const { events, deadLetters } = await run();
  expect(events.length).toBeGreaterThan(1);
  expect(events[0]).toEqual([
    'arn:aws:lambda:us-east-1:123456789012:function:worker',
    { tick: { scheduledAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) } },
  ]);
  expect(deadLetters).toEqual([]);
});

test('a schedule says how often it runs, and when next', async () => {
  const { timetables, askedAt, answeredAt } = await run();
  expect(timetables).toEqual([{ everySeconds: 0.02, nextAt: expect.any(Date) }]);
  const next = Number(timetables[0]?.nextAt);
  expect(next).toBeGreaterThan(askedAt);
  expect(next).toBeLessThanOrEqual(answeredAt + 20);
});

test('a schedule whose role may not invoke the function fills the dead-letter queue', async () => {
  const { events, deadLetters } = await run({ mayInvoke: false });
  expect(events).toEqual([]);
  expect(deadLetters[0]?.attributes).toMatchObject({ ERROR_CODE: 'AccessDeniedException' });
});

test('a schedule whose role does not trust EventBridge Scheduler is refused', async () => {
  await expect(run({ trusts: 'events.amazonaws.com' })).rejects.toThrow(
    'scheduler.amazonaws.com cannot assume',
  );
});

test('a disabled schedule does nothing', async () => {
  expect((await run({ state: 'DISABLED' })).events).toEqual([]);
});

test.each([
  ['rate(1 minute)', 60],
  ['rate(30 minutes)', 1_800],
  ['rate(2 hours)', 7_200],
])('%s is %i seconds', (expression, seconds) => {
  expect(parseRate(expression)).toBe(seconds);
});

test('a schedule that is not a rate is refused', () => {
  expect(() => parseRate('cron(0 * * * ? *)')).toThrow('must be rate(n minutes|hours|days), got cron(');
});

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
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

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Lets a schedule run for 100 ms, every 20 ms. */
function run({ mayInvoke = true, trusts = 'scheduler.amazonaws.com', state = 'ENABLED' }: Arrangement = {}) {
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
  jest.advanceTimersByTime(100);
  const { timetables } = scheduler;
  scheduler.stop();
  const countAtStop = events.length;
  jest.advanceTimersByTime(50);
  expect(events).toHaveLength(countAtStop);
  return { events, timetables, deadLetters: queues.all[0]?.messages ?? [] };
}

test('a schedule invokes its function with the time it was scheduled for, until it is stopped', () => {
  const { events, deadLetters } = run();
  expect(events).toHaveLength(5);
  expect(events[0]).toEqual([
    'arn:aws:lambda:us-east-1:123456789012:function:worker',
    { tick: { scheduledAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) } },
  ]);
  expect(deadLetters).toEqual([]);
});

test('a schedule says how often it runs, and when next', () => {
  const startedAt = Date.now();
  expect(run().timetables).toEqual([{ everySeconds: 0.02, nextAt: new Date(startedAt + 120) }]);
});

test('a schedule whose role may not invoke the function fills the dead-letter queue', () => {
  const { events, deadLetters } = run({ mayInvoke: false });
  expect(events).toEqual([]);
  expect(deadLetters[0]?.attributes).toMatchObject({ ERROR_CODE: 'AccessDeniedException' });
});

test('a schedule whose role does not trust EventBridge Scheduler is refused', () => {
  expect(() => run({ trusts: 'events.amazonaws.com' })).toThrow('scheduler.amazonaws.com cannot assume');
});

test('a disabled schedule does nothing', () => {
  expect(run({ state: 'DISABLED' }).events).toEqual([]);
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

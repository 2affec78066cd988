import { afterEach, describe, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { EventSourceMappings } from '../src/event-source-mappings.ts';
import type { InvocationResult } from '../src/invocation.ts';
import { Queues } from '../src/queue.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

const failed: InvocationResult = { payload: '{"errorType":"Error"}', functionError: 'Unhandled' };
const succeeded: InvocationResult = { payload: 'null' };
const consume = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

let mappings: EventSourceMappings | undefined;
afterEach(() => mappings?.stop());

/** An invocation under way, in the test's hands. */
type Invocation = {
  readonly event: { readonly Records: readonly Record<string, unknown>[] };
  readonly end: (result: InvocationResult) => void;
};

function arrange({ actions = consume, timeout = 3, visibilityTimeoutSeconds = 30 } = {}) {
  const template = loadTemplate(
    createFakeCdkOut(
      {
        workerRole: createRole('lambda.amazonaws.com', [
          { Effect: 'Allow', Action: actions, Resource: { 'Fn::GetAtt': ['Work', 'Arn'] } },
        ]),
        worker: createFunction('worker', { Timeout: timeout }),
        Failures: { Type: 'AWS::SQS::Queue' },
        Work: {
          Type: 'AWS::SQS::Queue',
          Properties: {
            VisibilityTimeout: 30,
            RedrivePolicy: {
              deadLetterTargetArn: { 'Fn::GetAtt': ['Failures', 'Arn'] },
              maxReceiveCount: 2,
            },
          },
        },
        Mapping: {
          Type: 'AWS::Lambda::EventSourceMapping',
          Properties: {
            BatchSize: 1,
            EventSourceArn: { 'Fn::GetAtt': ['Work', 'Arn'] },
            FunctionName: { Ref: 'worker' },
            ScalingConfig: { MaximumConcurrency: 2 },
          },
        },
      },
      { worker: '' },
    ),
  );
  const queues = new Queues(template, visibilityTimeoutSeconds);
  const invocations: Invocation[] = [];
  let tellNext = Promise.withResolvers<void>();
  mappings = new EventSourceMappings({
    template,
    access: new AccessControl(template),
    queues,
    invoke: (_functionArn, event) => {
      const { promise, resolve } = Promise.withResolvers<InvocationResult>();
      invocations.push({ event: event as Invocation['event'], end: resolve });
      tellNext.resolve();
      tellNext = Promise.withResolvers();
      return promise;
    },
  });
  return {
    queue: queues.get('Work'),
    failures: queues.get('Failures'),
    invocations,
    async invocation(index: number): Promise<Invocation> {
      while (invocations[index] === undefined) await tellNext.promise;
      return invocations[index];
    },
  };
}

describe('a message', () => {
  test('invokes the function, as Lambda would, and is deleted when that succeeded', async () => {
    const { queue, invocation } = arrange();
    queue.send('a message');

    const { event, end } = await invocation(0);

    expect(event).toEqual({
      Records: [
        expect.objectContaining({
          body: 'a message',
          eventSource: 'aws:sqs',
          eventSourceARN: queue.arn,
          attributes: expect.objectContaining({
            ApproximateReceiveCount: '1',
            SentTimestamp: expect.stringMatching(/^\d{13}$/),
            ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
          }),
        }),
      ],
    });
    expect(queue.messages).toHaveLength(1);
    end(succeeded);
    await new Promise(setImmediate);
    expect(queue.messages).toEqual([]);
  });

  test('comes again after its visibility timeout when it failed, and is given up after as many times as it may', async () => {
    const { queue, failures, invocations, invocation } = arrange({ visibilityTimeoutSeconds: 0.05 });
    const givenUp = new Promise<void>((resolve) => failures.onVisible(resolve));
    queue.send('poison');

    for (const attempt of [0, 1]) {
      const { event, end } = await invocation(attempt);
      expect(event.Records[0]).toMatchObject({ attributes: { ApproximateReceiveCount: `${attempt + 1}` } });
      end(failed);
    }
    await givenUp;

    expect(failures.messages.map(({ body }) => body)).toEqual(['poison']);
    expect(queue.messages).toEqual([]);
    expect(invocations).toHaveLength(2);
  });

  test('waits while as many are under way as may be', async () => {
    const { queue, invocations, invocation } = arrange();
    for (const body of ['one', 'two', 'three']) queue.send(body);
    const [first] = [await invocation(0), await invocation(1)];
    expect(invocations).toHaveLength(2);

    first.end(succeeded);

    expect((await invocation(2)).event.Records[0]).toMatchObject({ body: 'three' });
  });
});

describe('a mapping that a deployment would refuse fails at start:', () => {
  test.each(consume)('one whose function may not call %s', (missing) => {
    expect(() => arrange({ actions: consume.filter((action) => action !== missing) })).toThrow(
      `may not call ${missing} on arn:aws:sqs`,
    );
  });

  test('one whose messages come again while they are being worked on', () => {
    expect(() => arrange({ timeout: 31 })).toThrow(
      /visibility timeout of .* is below the function's timeout of 31 s/,
    );
  });
});

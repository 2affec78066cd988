import { expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { AsynchronousInvoker } from '../src/asynchronous-invoker.ts';
import { Metrics } from '../src/cloudwatch/metrics.ts';
import type { InvocationResult } from '../src/invocation.ts';
import { Queues } from '../src/queue.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

const functionArn = 'arn:aws:lambda:us-east-1:123456789012:function:worker';
const failed: InvocationResult = { payload: '{"errorType":"Error"}', functionError: 'Unhandled' };
const succeeded: InvocationResult = { payload: 'null' };

function arrange(results: readonly InvocationResult[], configuration: object = {}, maySend = true) {
  const sendMessage = {
    Effect: 'Allow',
    Action: 'sqs:SendMessage',
    Resource: { 'Fn::GetAtt': ['Failures', 'Arn'] },
  };
  const template = loadTemplate(
    createFakeCdkOut(
      {
        workerRole: createRole('lambda.amazonaws.com', maySend ? [sendMessage] : []),
        worker: createFunction('worker'),
        Failures: { Type: 'AWS::SQS::Queue' },
        EventInvokeConfig: {
          Type: 'AWS::Lambda::EventInvokeConfig',
          Properties: {
            FunctionName: { Ref: 'worker' },
            Qualifier: '$LATEST',
            DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['Failures', 'Arn'] } } },
            ...configuration,
          },
        },
      },
      { worker: '' },
    ),
  );
  const queues = new Queues(template);
  const metrics = new Metrics();
  const requestIds: string[] = [];
  const invoker = new AsynchronousInvoker({
    template,
    access: new AccessControl(template),
    queues,
    metrics,
    invoke: async (_functionArn, _event, requestId) => {
      requestIds.push(requestId);
      return results[requestIds.length - 1] ?? failed;
    },
    retryDelaysInSeconds: [0.01, 0.02],
  });
  const dropped = () => {
    const metric = {
      namespace: 'AWS/Lambda',
      name: 'AsyncEventsDropped',
      dimensions: { FunctionName: 'worker' },
    };
    return metrics.valuesOf(metric, 0, Number.POSITIVE_INFINITY);
  };
  return { invoker, requestIds, dropped, failures: queues.all[0]?.messages ?? [] };
}

test('an event that succeeds at a retry is done', async () => {
  const { invoker, requestIds, dropped, failures } = arrange([failed, succeeded]);
  await invoker.invoke(functionArn, {});
  expect(requestIds).toHaveLength(2);
  expect(failures).toEqual([]);
  expect(dropped()).toEqual([]);
});

test('an event that fails at every attempt goes to the failure destination, under one request id, and is counted', async () => {
  const { invoker, requestIds, dropped, failures } = arrange([]);
  await invoker.invoke(functionArn, { tick: 1 });
  expect(requestIds).toHaveLength(3);
  expect(new Set(requestIds).size).toBe(1);
  expect(dropped()).toEqual([1]);
  expect(failures.map(({ body }) => JSON.parse(body))).toEqual([
    expect.objectContaining({
      requestContext: {
        requestId: requestIds[0],
        functionArn: `${functionArn}:$LATEST`,
        condition: 'RetriesExhausted',
        approximateInvokeCount: 3,
      },
      requestPayload: { tick: 1 },
      responsePayload: { errorType: 'Error' },
    }),
  ]);
});

test('the template says how often an event is retried', async () => {
  const { invoker, requestIds } = arrange([], { MaximumRetryAttempts: 0 });
  await invoker.invoke(functionArn, {});
  expect(requestIds).toHaveLength(1);
});

test('an event is not retried when it would be too old by then', async () => {
  const { invoker, requestIds, failures } = arrange([], { MaximumEventAgeInSeconds: 0.005 });
  await invoker.invoke(functionArn, {});
  expect(requestIds).toHaveLength(1);
  expect(failures[0]?.body).toContain('"condition":"EventAgeExceeded"');
});

test('a role that may not send to the failure destination is refused', () => {
  expect(() => arrange([], {}, false)).toThrow(/^EventInvokeConfig: .* may not call SendMessage on /);
});

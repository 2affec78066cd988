import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  AccessControl,
  CredentialIssuer,
  loadTemplate,
  type Queue,
  Queues,
  SqsEndpoint,
} from 'cdk-out-local';
import { createFakeCdkOut, createRole } from 'cdk-out-local/testing';
import { AwsService } from '../../../lambda/adapters/aws-service.ts';
import { SqsSweepQueue } from '../../../lambda/adapters/sqs-sweep-queue.ts';
import type { WakeUp } from '../../../lambda/connection/sweep-queue.ts';
import { awsEnvironment } from '../fakes/aws-environment.ts';
import { FakeHttpServer, json } from '../fakes/http-server.ts';

const wakeUp: WakeUp = { scheduledAt: '2026-11-24T12:30:00Z', ageSeconds: 7, link: 1 };

let endpoint: SqsEndpoint;
let queue: Queue;
let sweepQueue: SqsSweepQueue;

beforeAll(async () => {
  const template = loadTemplate(
    createFakeCdkOut({
      Queue: { Type: 'AWS::SQS::Queue' },
      Role: createRole('lambda.amazonaws.com', [
        { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] } },
      ]),
    }),
  );
  const queues = new Queues(template);
  queue = queues.get('Queue');
  const credentials = new CredentialIssuer();
  endpoint = await SqsEndpoint.start({ queues, access: new AccessControl(template), credentials });
  const roleArn = template.resourcesOfType('AWS::IAM::Role')[0]?.attributes.Arn ?? '';
  sweepQueue = new SqsSweepQueue(
    new AwsService(
      'sqs',
      awsEnvironment(endpoint.url, credentials.issue({ functionName: 'sweeper', roleArn })),
    ),
    new URL(queue.url),
  );
});

afterAll(() => endpoint.stop());

beforeEach(() => {
  endpoint.makeTrouble(false);
  for (const { receiptHandle } of queue.receive(1_000)) queue.delete(receiptHandle);
});

describe('wake-ups', () => {
  test('become a message each, however many there are', async () => {
    await sweepQueue.send(Array(23).fill(wakeUp));

    expect(queue.messages.map(({ body }) => JSON.parse(body))).toEqual(Array(23).fill(wakeUp));
  });

  test('that the queue cannot be told of are rejected without the reason of the service', async () => {
    endpoint.makeTrouble(true);

    await expect(sweepQueue.send([wakeUp])).rejects.toMatchObject({
      code: 'SWEEP_QUEUE_UNAVAILABLE',
      message: 'SendMessageBatch on the sweep queue failed: InternalError',
    });
  });

  test('of which the queue took some only are rejected', async () => {
    const server = await FakeHttpServer.start();
    try {
      server.respond = json(200, {
        Successful: [],
        Failed: [{ Id: '0', SenderFault: false, Code: 'InternalError' }],
      });
      const partial = new SqsSweepQueue(
        new AwsService('sqs', awsEnvironment(server.url)),
        new URL(queue.url),
      );

      await expect(partial.send([wakeUp])).rejects.toMatchObject({
        message: 'the sweep queue accepted 0 of 1',
      });
    } finally {
      await server.stop();
    }
  });
});

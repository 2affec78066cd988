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
import { RESCUE_KEY, Secret } from '../../../lambda/adapters/secret.ts';
import { SqsRescueQueue } from '../../../lambda/adapters/sqs-rescue-queue.ts';
import { RescueQueueError, type Rotation } from '../../../lambda/connection/rescue-queue.ts';
import { awsEnvironment } from '../fakes/aws-environment.ts';
import { FakeSecretsManager } from '../fakes/fake-secrets-manager.ts';
import { FakeHttpServer, hang } from '../fakes/http-server.ts';
import { aLease } from '../fakes/leases.ts';
import { aRotation } from '../fakes/rotations.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const KEY = 'k'.repeat(64);

let endpoint: SqsEndpoint;
let queue: Queue;
let deadLetterQueue: Queue;
let rescueQueue: SqsRescueQueue;
const credentials = new CredentialIssuer();
let roleArn: string;

beforeAll(async () => {
  const template = loadTemplate(
    createFakeCdkOut({
      Queue: {
        Type: 'AWS::SQS::Queue',
        Properties: {
          RedrivePolicy: {
            deadLetterTargetArn: { 'Fn::GetAtt': ['DeadLetterQueue', 'Arn'] },
            maxReceiveCount: 2,
          },
        },
      },
      DeadLetterQueue: { Type: 'AWS::SQS::Queue' },
      Role: createRole('lambda.amazonaws.com', [
        { Effect: 'Allow', Action: 'sqs:*', Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] } },
      ]),
    }),
  );
  roleArn = template.resourcesOfType('AWS::IAM::Role')[0]?.attributes.Arn ?? '';
  const queues = new Queues(template);
  queue = queues.get('Queue');
  deadLetterQueue = queues.get('DeadLetterQueue');
  endpoint = await SqsEndpoint.start({ queues, access: new AccessControl(template), credentials });
});

afterAll(() => endpoint.stop());

beforeEach(async () => {
  endpoint.makeTrouble(false);
  rescueQueue = connect();
  queue.showAgain();
  for (const message of await rescueQueue.receive()) {
    await rescueQueue.remove(message);
  }
});

describe('a rotated refresh token', () => {
  test('comes out as it went in', async () => {
    const rotation = aRotation();
    await rescueQueue.put(rotation, 1_000);

    const received = await rescueQueue.receive();

    expect(received.map((message) => message.rotation)).toEqual([rotation]);
    expect(received[0]?.messageId).toBe(queue.messages[0]?.messageId);
  });

  test('without an access token, too', async () => {
    const rotation: Rotation = {
      ...aRotation(),
      outcome: { kind: 'refresh_token_only', refreshToken: 'all-that-was-usable', retryAfterSeconds: 21 },
    };
    await rescueQueue.put(rotation, 1_000);
    expect((await rescueQueue.receive()).map((message) => message.rotation)).toEqual([rotation]);
  });

  test('waits under the name of its user, and is readable for nobody', async () => {
    const rotation = aRotation();
    await rescueQueue.put(rotation, 1_000);

    const body = JSON.parse(queue.messages[0]?.body ?? '');

    expect(body).toEqual({
      user_id: rotation.lease.userId,
      sealed: expect.stringMatching(/^v1\.[\w-]+\.[\w-]+\.[\w-]+$/),
    });
  });

  test('stays until it is removed, and is hidden from others meanwhile', async () => {
    await rescueQueue.put(aRotation(), 1_000);
    const [first] = await rescueQueue.receive();
    expect(await rescueQueue.receive()).toEqual([]);
    queue.showAgain();

    const [again] = await rescueQueue.receive();
    expect(again?.messageId).toBe(first?.messageId);
    if (again !== undefined) {
      await rescueQueue.remove(again);
    }

    expect(queue.messages).toEqual([]);
  });

  test('that opens with the known key has it read no second time', async () => {
    const secretsManager = new FakeSecretsManager({ key: KEY });
    const clock = new VirtualClock();
    const warm = connect({ secretsManager, clock });
    await warm.put(aRotation(), 1_000);
    clock.advance(10_000);
    await warm.receive();
    expect(secretsManager.reads).toBe(1);
  });

  test('is one of ten at most that come at once', async () => {
    await Promise.all(Array.from({ length: 12 }, () => rescueQueue.put(aRotation(), 1_000)));
    expect(await rescueQueue.receive()).toHaveLength(10);
    const rest = await rescueQueue.receive();
    expect(rest).toHaveLength(2);
    await Promise.all(rest.map((message) => rescueQueue.remove(message)));
  });

  test('that was received too often is in the dead-letter queue', async () => {
    const rotation = aRotation();
    await rescueQueue.put(rotation, 1_000);
    for (const expected of [1, 1, 0]) {
      expect(await rescueQueue.receive()).toHaveLength(expected);
      queue.showAgain();
    }
    expect(queue.messages).toEqual([]);
    expect(deadLetterQueue.messages.at(-1)?.body).toContain(rotation.lease.userId);
  });
});

describe('a message that cannot be opened', () => {
  test.each([
    ['not JSON', () => 'hello'],
    ['something else', () => '{"user_id":1}'],
    ['named after another user', (body: string) => body.replace('user-of-test', 'user-of-tost')],
    ['tampered with', (body: string) => body.replace('"v1.', '"v1.x')],
  ])('because it is %s is told from others, and stays', async (_name, change) => {
    await rescueQueue.put(aRotation(aLease({ userId: 'user-of-test' })), 1_000);
    const [message] = await rescueQueue.receive();
    if (message !== undefined) {
      queue.send(change(queue.messages[0]?.body ?? ''));
      await rescueQueue.remove(message);
    }

    expect(await rescueQueue.receive()).toMatchObject([{ rotation: null }]);

    expect(queue.messages).toHaveLength(1);
  });

  test('with the key that the instance knows is opened with the one that was put in place since', async () => {
    const secretsManager = new FakeSecretsManager({ key: KEY });
    const clock = new VirtualClock();
    const warm = connect({ secretsManager, clock });
    await warm.receive();
    const replaced = 'x'.repeat(64);
    secretsManager.value = { key: replaced };
    clock.advance(10_000);
    const rotation = aRotation();
    await connect({ key: replaced }).put(rotation, 1_000);
    expect(await warm.receive()).toMatchObject([{ rotation: { outcome: rotation.outcome } }]);
  });

  test('because it was sealed with another key is told from others', async () => {
    await connect({ key: 'x'.repeat(64) }).put(aRotation(), 1_000);
    expect(await rescueQueue.receive()).toMatchObject([{ rotation: null }]);
  });
});

describe('a queue out of reach', () => {
  test('is told by the name of its error', async () => {
    endpoint.makeTrouble(true);
    const failure = { code: 'RESCUE_QUEUE_UNAVAILABLE', message: expect.stringContaining('InternalError') };
    await expect(rescueQueue.put(aRotation(), 1_000)).rejects.toMatchObject(failure);
    await expect(rescueQueue.receive()).rejects.toMatchObject(failure);
    await expect(
      rescueQueue.remove({ messageId: 'id', receipt: 'receipt', rotation: null }),
    ).rejects.toMatchObject(failure);
  });

  test('is given up when the time is over', async () => {
    const server = await FakeHttpServer.start();
    server.respond = hang;
    const attempt = connect({ endpointUrl: server.url.href }).put(aRotation(), 200);
    const outcome = await Promise.race([
      attempt.catch((error: unknown) => error),
      new Promise((resolve) => setTimeout(resolve, 2_000, 'still waiting')),
    ]);
    await server.stop();
    expect(outcome).toBeInstanceOf(RescueQueueError);
  });
});

test('without a key nothing is sent, and nothing is received and thereby hidden', async () => {
  await rescueQueue.put(aRotation(), 1_000);
  const keyless = connect({ key: 'too short' });
  const failure = { code: 'SECRET_MALFORMED' };

  await expect(keyless.put(aRotation(), 1_000)).rejects.toMatchObject(failure);
  await expect(keyless.receive()).rejects.toMatchObject(failure);

  expect(await rescueQueue.receive()).toHaveLength(1);
});

function connect({
  key = KEY,
  endpointUrl = endpoint.url,
  secretsManager = new FakeSecretsManager({ key }),
  clock = new VirtualClock(),
} = {}): SqsRescueQueue {
  const sqs = new AwsService(
    'sqs',
    awsEnvironment(endpointUrl, credentials.issue({ functionName: 'test', roleArn })),
  );
  const secret = new Secret(secretsManager.reader, 'arn:rescue-key', RESCUE_KEY, clock);
  return new SqsRescueQueue(sqs, new URL(queue.url), secret);
}

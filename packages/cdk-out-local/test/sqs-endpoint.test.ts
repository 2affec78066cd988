import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { CredentialIssuer } from '../src/credentials.ts';
import { type Queue, Queues } from '../src/queue.ts';
import { SqsEndpoint } from '../src/sqs-endpoint.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createRole } from './fake-cdk-out.ts';

let endpoint: SqsEndpoint;
let queue: Queue;
const credentials = new CredentialIssuer();
const clients = new Map<string, SQSClient>();

beforeAll(async () => {
  const grant = (action: string) =>
    createRole('lambda.amazonaws.com', [
      { Effect: 'Allow', Action: action, Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] } },
    ]);
  const template = loadTemplate(
    createFakeCdkOut({
      Queue: { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeout: 1 } },
      Sender: grant('sqs:SendMessage'),
      Receiver: grant('sqs:ReceiveMessage'),
      Owner: grant('sqs:*'),
    }),
  );
  const queues = new Queues(template);
  queue = queues.get('Queue');
  endpoint = await SqsEndpoint.start({ queues, access: new AccessControl(template), credentials });
  for (const { logicalId, attributes } of template.resourcesOfType('AWS::IAM::Role')) {
    const caller = { functionName: logicalId, roleArn: attributes.Arn };
    clients.set(logicalId, createClient(credentials.issue(caller)));
  }
});

afterAll(() => endpoint.stop());

function createClient(issued: { accessKeyId: string; secretAccessKey: string }): SQSClient {
  return new SQSClient({
    endpoint: endpoint.url,
    useQueueUrlAsEndpoint: false,
    region: 'us-east-1',
    credentials: issued,
    maxAttempts: 1,
  });
}

function as(role: string): SQSClient {
  return clients.get(role) as SQSClient;
}

test('a message that was received comes again after its visibility timeout, and by its new receipt is deleted', async () => {
  const QueueUrl = queue.url;
  const receive = async () =>
    (await as('Owner').send(new ReceiveMessageCommand({ QueueUrl }))).Messages?.[0]?.ReceiptHandle;
  const remove = (ReceiptHandle: string | undefined) =>
    as('Owner').send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));

  await as('Owner').send(new SendMessageCommand({ QueueUrl, MessageBody: 'ünïcode' }));
  const first = await receive();
  expect(await receive()).toBeUndefined();
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  const second = await receive();
  await remove(first);
  expect(queue.messages.map(({ body }) => body)).toEqual(['ünïcode']);
  await remove(second);
  expect(queue.messages).toEqual([]);
});

test('a role may do what it is granted, and nothing else', async () => {
  const send = new SendMessageCommand({ QueueUrl: queue.url, MessageBody: 'body' });
  const receive = new ReceiveMessageCommand({ QueueUrl: queue.url });
  const denial = (role: string, action: string) => ({
    name: 'AccessDeniedException',
    message: expect.stringMatching(
      new RegExp(`/${role} is not authorized to perform: ${action} on resource: ${queue.arn} because no`),
    ),
  });

  await as('Sender').send(send);
  await expect(as('Sender').send(receive)).rejects.toMatchObject(denial('Sender', 'sqs:ReceiveMessage'));
  await expect(as('Receiver').send(send)).rejects.toMatchObject(denial('Receiver', 'sqs:SendMessage'));
  const { Messages = [] } = await as('Receiver').send(receive);

  expect(Messages.map(({ Body }) => Body)).toEqual(['body']);
});

test('an unknown access key, an unknown queue, an input out of bounds and an operation that is not there are refused', async () => {
  const stranger = createClient({ accessKeyId: 'AKIANOBODY', secretAccessKey: 'secret' });
  const send = (QueueUrl: string) => new SendMessageCommand({ QueueUrl, MessageBody: 'body' });
  const receive = new ReceiveMessageCommand({ QueueUrl: queue.url, MaxNumberOfMessages: 11 });
  const describe = new GetQueueAttributesCommand({ QueueUrl: queue.url });

  await expect(stranger.send(send(queue.url))).rejects.toMatchObject({ name: 'InvalidClientTokenId' });
  await expect(as('Owner').send(send(`${queue.url}x`))).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
  await expect(as('Owner').send(receive)).rejects.toMatchObject({ name: 'InvalidParameterValue' });
  await expect(as('Owner').send(describe)).rejects.toMatchObject({ name: 'UnsupportedOperation' });
});

import {
  DescribeEventBusCommand,
  EventBridgeClient,
  ListEventBusesCommand,
  PutEventsCommand,
  type PutEventsRequestEntry,
} from '@aws-sdk/client-eventbridge';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { CredentialIssuer } from '../src/credentials.ts';
import { EventBridge } from '../src/event-bridge.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createRole } from './fake-cdk-out.ts';

const BUS_ARN = 'arn:aws:events:us-east-1:123456789012:event-bus/default';
const ENTRY = { Source: 'app', DetailType: 'Happened', Detail: '{"id":"1"}' };

let eventBridge: EventBridge;
const logLines: string[] = [];
const credentials = new CredentialIssuer();
const clients = new Map<string, EventBridgeClient>();

beforeAll(async () => {
  const grant = (Resource: string, Action = 'events:PutEvents') =>
    createRole('lambda.amazonaws.com', [{ Effect: 'Allow', Action, Resource }]);
  const template = loadTemplate(
    createFakeCdkOut({
      Sender: grant(BUS_ARN),
      Stranger: grant(`${BUS_ARN}s`),
      Owner: grant('*', 'events:*'),
    }),
  );
  eventBridge = await EventBridge.start({
    template,
    access: new AccessControl(template),
    credentials,
    onLog: (source, line) => logLines.push(`${source}: ${line}`),
  });
  for (const { logicalId, attributes } of template.resourcesOfType('AWS::IAM::Role')) {
    const caller = { functionName: logicalId, roleArn: attributes.Arn };
    clients.set(logicalId, createClient(credentials.issue(caller)));
  }
});

beforeEach(() => eventBridge.makeTrouble({}));

afterAll(() => eventBridge.stop());

function createClient(issued: { accessKeyId: string; secretAccessKey: string }): EventBridgeClient {
  return new EventBridgeClient({
    endpoint: eventBridge.url,
    region: 'us-east-1',
    credentials: issued,
    maxAttempts: 1,
  });
}

function put(role: string, ...Entries: PutEventsRequestEntry[]) {
  return (clients.get(role) as EventBridgeClient).send(new PutEventsCommand({ Entries }));
}

test.each([undefined, 'default', BUS_ARN])(
  'an event for the bus %s is taken, kept, and logged as its targets would see it',
  async (EventBusName) => {
    const { FailedEntryCount, Entries = [] } = await put('Sender', { ...ENTRY, EventBusName });

    expect(FailedEntryCount).toBe(0);
    const event = {
      version: '0',
      id: Entries[0]?.EventId,
      'detail-type': 'Happened',
      source: 'app',
      account: '123456789012',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: 'us-east-1',
      resources: [],
      detail: { id: '1' },
    };
    expect(eventBridge.events.at(-1)).toEqual(event);
    expect(JSON.parse(logLines.at(-1)?.replace('EventBridge: ', '') ?? '')).toEqual(event);
  },
);

test('an event for a bus that does not exist is accepted and dropped', async () => {
  const before = eventBridge.events.length;
  const { FailedEntryCount, Entries } = await put('Owner', { ...ENTRY, EventBusName: 'typo' });
  expect({ FailedEntryCount, Entries }).toEqual({
    FailedEntryCount: 0,
    Entries: [{ EventId: expect.any(String) }],
  });
  expect(eventBridge.events).toHaveLength(before);
});

test('entries that cannot be used fail each for itself', async () => {
  const before = eventBridge.events.length;
  const { FailedEntryCount, Entries } = await put(
    'Sender',
    { ...ENTRY, Detail: 'not JSON' },
    { ...ENTRY, Source: undefined },
    ENTRY,
    { ...ENTRY, Source: 'aws.ours' },
    { ...ENTRY, Detail: '[]' },
  );
  expect(FailedEntryCount).toBe(4);
  expect(Entries?.map(({ ErrorCode }) => ErrorCode)).toEqual([
    'MalformedDetail',
    'InvalidArgument',
    undefined,
    'NotAuthorizedForSourceException',
    'MalformedDetail',
  ]);
  expect(eventBridge.events).toHaveLength(before + 1);
});

test('a role may put what it is granted, and nothing else', async () => {
  await expect(put('Stranger', ENTRY)).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringMatching(
      new RegExp(
        `/Stranger is not authorized to perform: events:PutEvents on resource: ${BUS_ARN} because no`,
      ),
    ),
  });
});

test('too many entries, too large ones, an unknown access key and an operation that is not there are refused', async () => {
  const stranger = createClient({ accessKeyId: 'AKIANOBODY', secretAccessKey: 'secret' });
  const large = { ...ENTRY, Detail: JSON.stringify({ text: 'x'.repeat(600 * 1024) }) };
  const owner = clients.get('Owner') as EventBridgeClient;

  await expect(put('Owner', ...Array.from({ length: 11 }, () => ENTRY))).rejects.toMatchObject({
    name: 'ValidationException',
  });
  await put('Owner', large);
  await expect(put('Owner', large, large)).rejects.toMatchObject({
    name: 'ValidationException',
    message: 'Total size of the entries in the request is over the limit.',
  });
  await expect(stranger.send(new PutEventsCommand({ Entries: [ENTRY] }))).rejects.toMatchObject({
    name: 'UnrecognizedClientException',
  });
  await expect(owner.send(new ListEventBusesCommand({}))).rejects.toMatchObject({
    name: 'UnknownOperationException',
  });
});

test('calls can be made to fail, and entries to be refused', async () => {
  eventBridge.makeTrouble({ isFailing: true });
  await expect(put('Sender', ENTRY)).rejects.toMatchObject({ name: 'InternalException' });

  eventBridge.makeTrouble({ isThrottling: true });
  expect(await put('Sender', ENTRY)).toMatchObject({
    FailedEntryCount: 1,
    Entries: [{ ErrorCode: 'ThrottlingException' }],
  });
});

test('callers with the permission find out whether a bus exists', async () => {
  const describe = (role: string, Name: string) =>
    (clients.get(role) as EventBridgeClient).send(new DescribeEventBusCommand({ Name }));

  expect(await describe('Owner', 'default')).toMatchObject({ Arn: BUS_ARN });
  await expect(describe('Owner', 'gone')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  await expect(describe('Sender', 'default')).rejects.toMatchObject({ name: 'AccessDeniedException' });
});

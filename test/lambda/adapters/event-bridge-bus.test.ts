import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { AwsService } from '../../../lambda/adapters/aws-service.ts';
import { EventBridgeBus } from '../../../lambda/adapters/event-bridge-bus.ts';
import type { ReauthorizationEvent } from '../../../lambda/connection/reauthorization-event.ts';
import { awsEnvironment } from '../fakes/aws-environment.ts';
import { FakeHttpServer } from '../fakes/http-server.ts';

type Entry = {
  readonly EventBusName: string;
  readonly Source: string;
  readonly DetailType: string;
  readonly Detail: string;
};

const USER = '6f3c0b52-9d3e-4c57-9a39-3f1c5a0d7e11';
const required: ReauthorizationEvent = {
  kind: 'required',
  id: '0d9c6cf6-55a5-4f1f-9c0b-1f0b7e4f7a10',
  userId: USER,
  since: '2026-11-24T12:00:00.123456+00:00',
  reason: 'grant_revoked',
};
const due: ReauthorizationEvent = {
  kind: 'due',
  id: '1d9c6cf6-55a5-4f1f-9c0b-1f0b7e4f7a10',
  userId: USER,
  connectedAt: '2026-05-30T08:00:00+00:00',
  reauthorizeBy: '2026-11-30T08:00:00+00:00',
  days: 7,
};

let eventBridge: FakeHttpServer;
let service: AwsService;
let bus: EventBridgeBus;

beforeAll(async () => {
  eventBridge = await FakeHttpServer.start();
  service = new AwsService('events', awsEnvironment(eventBridge.url));
  bus = new EventBridgeBus(service, 'bondhu-events', 'SpotifyAuth-test');
});
afterAll(() => eventBridge.stop());
beforeEach(() => {
  eventBridge.reset();
  answerEach(() => true);
});

describe('the event of', () => {
  test('a dead grant says whose and why', async () => {
    await bus.send([required]);
    expect(detailsOf('SpotifyReauthorizationRequired')).toEqual([
      {
        version: '1',
        id: required.id,
        stack: 'SpotifyAuth-test',
        user_id: USER,
        since: '2026-11-24T12:00:00.123Z',
        reason: 'grant_revoked',
      },
    ]);
  });

  test('a grant that will end says whose and when', async () => {
    await bus.send([due]);
    expect(detailsOf('SpotifyReauthorizationDue')).toEqual([
      {
        version: '1',
        id: due.id,
        stack: 'SpotifyAuth-test',
        user_id: USER,
        days: 7,
        connected_at: '2026-05-30T08:00:00.000Z',
        reauthorize_by: '2026-11-30T08:00:00.000Z',
      },
    ]);
  });

  test.each([required, due])('each kind is as its schema says: $kind', async (event) => {
    const type = event.kind === 'required' ? 'SpotifyReauthorizationRequired' : 'SpotifyReauthorizationDue';
    const schema = JSON.parse(
      readFileSync(join(import.meta.dirname, `../../../docs/events/${type}.v1.json`), 'utf8'),
    );
    const ajv = new Ajv2020();
    addFormats.default(ajv);
    await bus.send([event]);
    const [detail] = detailsOf(type);
    expect(ajv.validate(schema, detail) || ajv.errors).toBe(true);
    expect(ajv.validate(schema, { ...detail, token: 'x' })).toBe(false);
  });

  test('each goes to the configured bus from our source', async () => {
    await bus.send([required, due]);
    for (const entry of entries()) {
      expect(entry).toMatchObject({ EventBusName: 'bondhu-events', Source: 'bondhu.spotify-auth' });
    }
  });
});

describe('events', () => {
  const many = Array.from(
    { length: 95 },
    (_, index): ReauthorizationEvent => ({ ...due, id: `event-${index}` }),
  );

  test('are sent ten at a time, all of them', async () => {
    expect(await bus.send(many)).toEqual({ taken: many, failure: null });
    expect(puts().map(({ body }) => JSON.parse(body).Entries.length)).toEqual([...Array(9).fill(10), 5]);
    expect(new Set(entries().map(({ Detail }) => JSON.parse(Detail).id)).size).toBe(95);
  });

  test('of which the bus took some are told apart from the others', async () => {
    answerEach(({ Detail }) => JSON.parse(Detail).id !== 'event-3');
    expect(await bus.send(many.slice(0, 10))).toEqual({
      taken: many.slice(0, 10).filter(({ id }) => id !== 'event-3'),
      failure: 'InternalFailure',
    });
  });

  test('that the bus refuses are not taken, and no more are sent', async () => {
    eventBridge.respond = (response) =>
      void response
        .writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
        .end('{"__type":"AccessDeniedException","message":"a reason that names the role"}');
    expect(await bus.send(many)).toEqual({ taken: [], failure: 'AccessDeniedException' });
    expect(puts()).toHaveLength(8);
  });

  test('for a bus that does not exist are not sent: EventBridge would drop them without a word', async () => {
    eventBridge.respond = (response) =>
      void response
        .writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
        .end('{"__type":"ResourceNotFoundException","message":"Event bus bondhu-events does not exist."}');
    expect(await bus.send(many)).toEqual({ taken: [], failure: 'there is no bus bondhu-events' });
    expect(eventBridge.requests).toMatchObject([
      { headers: { 'x-amz-target': 'AWSEvents.DescribeEventBus' }, body: '{"Name":"bondhu-events"}' },
    ]);
  });

  test('for the default bus, which always exists, need no look at it', async () => {
    await new EventBridgeBus(service, 'default', 'SpotifyAuth-test').send([due]);
    expect(eventBridge.requests).toEqual(puts());
    expect(puts()).toHaveLength(1);
  });
});

function answerEach(isTaken: (entry: Entry) => boolean): void {
  eventBridge.respond = (response, { body }) => {
    const { Entries = [] } = JSON.parse(body) as { Entries?: Entry[] };
    const results = Entries.map((entry) =>
      isTaken(entry) ? { EventId: 'an-id' } : { ErrorCode: 'InternalFailure', ErrorMessage: 'internal' },
    );
    const FailedEntryCount = results.filter(({ EventId }) => EventId === undefined).length;
    response
      .writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
      .end(JSON.stringify({ FailedEntryCount, Entries: results }));
  };
}

function puts() {
  return eventBridge.requests.filter(({ headers }) => headers['x-amz-target'] === 'AWSEvents.PutEvents');
}

function entries(): Entry[] {
  return puts().flatMap(({ body }) => JSON.parse(body).Entries);
}

function detailsOf(type: string): Record<string, unknown>[] {
  return entries()
    .filter(({ DetailType }) => DetailType === type)
    .map(({ Detail }) => JSON.parse(Detail));
}

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AwsService } from '../../../lambda/adapters/aws-service.ts';
import {
  RESCUE_KEY,
  Secret,
  type SecretFormat,
  SPOTIFY_CLIENT,
  type SpotifyClient,
  SUPABASE_CREDENTIALS,
} from '../../../lambda/adapters/secret.ts';
import { SecretError } from '../../../lambda/connection/secret-error.ts';
import { awsEnvironment } from '../fakes/aws-environment.ts';
import { FakeHttpServer, hang, html, json, type Respond, reset } from '../fakes/http-server.ts';
import { VirtualClock } from '../fakes/virtual-clock.ts';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:spotify-client-AbCdEf';
const CLIENT: SpotifyClient = { client_id: 'the-client-id', client_secret: 'the-client-secret' };

let server: FakeHttpServer;
let secretsManager: AwsService;
let clock: VirtualClock;
let secret: Secret<SpotifyClient>;

beforeAll(async () => {
  server = await FakeHttpServer.start();
  secretsManager = new AwsService('secretsmanager', awsEnvironment(server.url), 250);
});
afterAll(() => server.stop());

beforeEach(() => {
  server.reset();
  server.respond = holding(CLIENT);
  clock = new VirtualClock();
  secret = make(SPOTIFY_CLIENT);
});

describe('reading a secret', () => {
  test('asks Secrets Manager for the current version', async () => {
    expect(await secret.read()).toEqual(CLIENT);
    expect(server.requests).toMatchObject([
      { method: 'POST', headers: { 'x-amz-target': 'secretsmanager.GetSecretValue' } },
    ]);
    expect(JSON.parse(server.requests[0]?.body ?? '')).toEqual({ SecretId: ARN });
  });

  test('happens once, and the value is kept', async () => {
    const first = await secret.read();
    clock.advance(86_400_000);
    expect(await secret.read()).toBe(first);
    expect(server.requests).toHaveLength(1);
  });

  test('at the same time shares one call', async () => {
    const values = await Promise.all([secret.read(), secret.read(), secret.read()]);
    expect(new Set(values).size).toBe(1);
    expect(server.requests).toHaveLength(1);
  });

  test('takes a key for Supabase with and without a JWT secret', async () => {
    for (const value of [
      { secret_key: 'sb_secret_1' },
      { secret_key: 'sb_secret_1', jwt_secret: 'a shared secret' },
    ]) {
      server.respond = holding(value);
      expect(await make(SUPABASE_CREDENTIALS).read()).toEqual(value);
    }
  });
});

describe('a secret without a usable value', () => {
  // One code for both: whether there is such a secret, DescribeSecret has to say.
  const noValue = refusal('ResourceNotFoundException', "can't find the specified secret value");

  test.each([
    ['it can be described', json(200, { ARN })],
    ['it may not be described', refusal('AccessDeniedException', 'no')],
  ])('that was never filled in says what to run, where %s', async (_name, describe) => {
    server.respond = (response, request) =>
      (request.headers['x-amz-target'] === 'secretsmanager.DescribeSecret' ? describe : noValue)(
        response,
        request,
      );
    const error = await failureOf(secret.read());
    expect(error.code).toBe('SECRET_NOT_FILLED_IN');
    expect(error.message).toBe(
      `secret ${ARN} has not been filled in: run "npm run operate -- fill-secret spotify --stage <stage>" and give it {"client_id": "...", "client_secret": "..."}`,
    );
  });

  test.each([
    ['spotifySecretArn', SPOTIFY_CLIENT],
    ['supabaseSecretArn', SUPABASE_CREDENTIALS],
  ] as [string, SecretFormat<unknown>][])(
    'that is not there, as with a mistyped %s, says what to correct',
    async (setting, format) => {
      server.respond = noValue;
      const error = await failureOf(make(format).read());
      expect(error.code).toBe('SECRET_MISSING');
      expect(error.message).toContain(`there is no secret ${ARN}: correct ${setting} in cdk.json and deploy`);
    },
  );

  const malformed: [string, unknown, RegExp][] = [
    ['is not JSON', 'the-client-secret', /is not JSON/],
    ['is cut off', '{"client_id": "the-client-id", "client_secret": "the-client-se', /is not JSON/],
    ['is empty', '', /is not JSON/],
    ['is null', 'null', /malformed at the value/],
    ['is a list', '["the-client-id", "the-client-secret"]', /malformed/],
    ['lacks a field', '{"client_id": "the-client-id"}', /malformed at client_secret/],
    [
      'has an empty field',
      '{"client_id": "", "client_secret": "the-client-secret"}',
      /malformed at client_id/,
    ],
    ['has a field of another type', '{"client_id": 7, "client_secret": "the-client-secret"}', /at client_id/],
    ['is binary', undefined, /is not JSON/],
  ];
  test.each(malformed)('because it %s says where, and never what', async (_name, text, message) => {
    server.respond = json(200, { ARN, SecretString: text });
    const error = await failureOf(secret.read());
    expect(error.code).toBe('SECRET_MALFORMED');
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/the-client/);
  });

  test('because its key has fewer than 32 characters says so', async () => {
    server.respond = holding({ key: 'k'.repeat(31) });
    expect((await failureOf(make(RESCUE_KEY).read())).message).toContain('malformed at key');
    server.respond = holding({ key: 'k'.repeat(32) });
    expect(await make(RESCUE_KEY).read()).toEqual({ key: 'k'.repeat(32) });
  });

  describe.each([
    ['client_id', SPOTIFY_CLIENT, CLIENT],
    ['client_secret', SPOTIFY_CLIENT, CLIENT],
    ['secret_key', SUPABASE_CREDENTIALS, { secret_key: 'sb_secret_1' }],
    ['jwt_secret', SUPABASE_CREDENTIALS, { secret_key: 'sb_secret_1' }],
    ['key', RESCUE_KEY, { key: 'k'.repeat(64) }],
  ] as [string, SecretFormat<unknown>, object][])('because its %s', (member, format, value) => {
    // Invisible characters from pasting, which no client library accepts in a header.
    test.each([
      ['begins with a byte order mark', '\ufeffsecret'],
      ['holds a zero-width space', 'sec\u200bret'],
      ['ends with a line feed', 'secret\n'],
      ['ends with a space', 'secret '],
      ['holds a no-break space', 'sec\u00a0ret'],
      ['holds a letter that is not ASCII', 's\u00e9cret'],
      ['is longer than any credential', 'secret'.repeat(400)],
    ])('%s says where, and never what', async (_name, odd) => {
      const padded = odd.padStart(64, 'x');
      server.respond = holding({ ...value, [member]: padded });
      const error = await failureOf(make(format).read());
      expect(error.code).toBe('SECRET_MALFORMED');
      expect(error.message).toMatch(
        new RegExp(`malformed at ${member}: it must be .*, in visible ASCII characters; \\S`),
      );
      expect(error.message).not.toContain(padded);
    });
  });

  test('that was malformed when it was first read is read again a second later', async () => {
    server.respond = holding({ ...CLIENT, client_secret: 'sec\u200bret' });
    await failureOf(secret.read());
    server.respond = holding(CLIENT);
    clock.advance(1_000);
    expect(await secret.read()).toEqual(CLIENT);
  });

  const unreadable: [string, Respond, string][] = [
    [
      'denied',
      refusal('AccessDeniedException', 'not authorized to perform GetSecretValue'),
      'AccessDeniedException',
    ],
    ['throttled', refusal('ThrottlingException', 'Rate exceeded'), 'ThrottlingException'],
    ['slow', hang, 'no answer in time'],
    ['reset', reset, 'ECONNRESET'],
    ['broken', html(500), 'status 500'],
    ['in the hands of a proxy', html(200), 'an answer that is not understood'],
  ];
  test.each(unreadable)('because Secrets Manager is %s says so', async (_name, respond, name) => {
    server.respond = respond;
    const error = await failureOf(secret.read());
    expect(error.code).toBe('SECRET_UNREADABLE');
    expect(error.message).toContain(`secret ${ARN} could not be read: ${name}`);
  });

  test('is asked for again after a second, and not before', async () => {
    server.respond = refusal('AccessDeniedException', 'no');
    await failureOf(secret.read());
    server.respond = holding(CLIENT);
    clock.advance(999);
    expect((await failureOf(secret.read())).code).toBe('SECRET_UNREADABLE');
    expect(server.requests).toHaveLength(1);
    clock.advance(1);
    expect(await secret.read()).toEqual(CLIENT);
  });
});

describe('renewing a rejected value', () => {
  const newer: SpotifyClient = { client_id: 'the-client-id', client_secret: 'the-rotated-secret' };

  test('reads it again, and the new one is kept', async () => {
    const rejected = await secret.read();
    server.respond = holding(newer);
    clock.advance(10_000);
    expect(await secret.renew(rejected)).toEqual(newer);
    expect(await secret.read()).toEqual(newer);
    expect(server.requests).toHaveLength(2);
  });

  test('reads at most once in 10 s, however many were rejected', async () => {
    const rejected = await secret.read();
    server.respond = holding(newer);
    expect(await secret.renew(rejected)).toBe(rejected);
    clock.advance(10_000);
    const values = await Promise.all([1, 2, 3, 4].map(() => secret.renew(rejected)));
    expect(new Set(values).size).toBe(1);
    const renewed = await secret.read();
    expect(await secret.renew(renewed)).toBe(renewed);
    expect(server.requests).toHaveLength(2);
  });

  test('says whether a value may have come into use since the known one was read', async () => {
    expect(secret.mayHaveMissed(0)).toBe(true);
    const before = Date.now() / 1_000;
    const rejected = await secret.read();
    expect(secret.mayHaveMissed(before)).toBe(false);
    expect(secret.mayHaveMissed(Date.now() / 1_000 + 1)).toBe(true);
    // A read that fails has seen nothing newer.
    server.respond = json(500, {});
    clock.advance(10_000);
    const failedAt = Date.now() / 1_000;
    await secret.renew(rejected);
    expect(secret.mayHaveMissed(failedAt + 0.001)).toBe(true);
  });

  test('gives a late caller the value that is already there', async () => {
    const rejected = await secret.read();
    server.respond = holding(newer);
    clock.advance(10_000);
    const renewed = await secret.renew(rejected);
    clock.advance(10_000);
    expect(await secret.renew(rejected)).toBe(renewed);
    expect(server.requests).toHaveLength(2);
  });

  test('gives the very same value when Secrets Manager holds no other, so that it is not tried twice', async () => {
    const rejected = await secret.read();
    clock.advance(10_000);
    const values = await Promise.all([1, 2, 3].map(() => secret.renew(rejected)));
    expect(values.every((value) => value === rejected)).toBe(true);
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    ['out of reach', hang],
    ['denying', refusal('AccessDeniedException', 'no')],
    ['holding nonsense', json(200, { SecretString: 'nonsense' })],
  ])('keeps the known value while Secrets Manager is %s', async (_name, fault) => {
    const known = await secret.read();
    server.respond = fault;
    clock.advance(10_000);
    expect(await secret.renew(known)).toBe(known);
    expect(await secret.read()).toBe(known);

    server.respond = holding(newer);
    clock.advance(10_000);
    expect(await secret.renew(known)).toEqual(newer);
  });
});

function make<Value>(format: SecretFormat<Value>): Secret<Value> {
  return new Secret(secretsManager, ARN, format, clock);
}

function holding(value: object): Respond {
  return json(200, { ARN, SecretString: JSON.stringify(value) });
}

/** An error as the AWS JSON 1.1 protocol spells it. */
function refusal(type: string, message: string): Respond {
  return json(400, { __type: type, message });
}

async function failureOf(reading: Promise<unknown>): Promise<SecretError> {
  const error: unknown = await reading.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(SecretError);
  return error as SecretError;
}

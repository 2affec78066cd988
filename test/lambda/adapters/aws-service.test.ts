import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as v from 'valibot';
import {
  AwsError,
  AwsService,
  type AwsServiceName,
  findAwsEndpoint,
} from '../../../lambda/adapters/aws-service.ts';
import { awsEnvironment } from '../fakes/aws-environment.ts';
import {
  FakeHttpServer,
  hang,
  json,
  type ReceivedRequest,
  type Respond,
  reset,
} from '../fakes/http-server.ts';

const Answer = v.object({ SecretString: v.string() });
const credentials = { accessKeyId: 'AKID', secretAccessKey: 'the secret', sessionToken: 'the session' };

let server: FakeHttpServer;

beforeAll(async () => {
  server = await FakeHttpServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.reset());

function ask(service: AwsServiceName = 'secretsmanager', timeoutMilliseconds?: number) {
  return new AwsService(service, awsEnvironment(server.url, credentials), 500).call(
    'DoIt',
    { SecretId: 'one' },
    Answer,
    timeoutMilliseconds,
  );
}

describe('a request', () => {
  test.each([
    ['secretsmanager', 'secretsmanager.DoIt', 'application/x-amz-json-1.1'],
    ['sqs', 'AmazonSQS.DoIt', 'application/x-amz-json-1.0'],
    ['events', 'AWSEvents.DoIt', 'application/x-amz-json-1.1'],
  ] as const)(
    'to %s is signed as AWS describes it, with the session of the role',
    async (service, target, type) => {
      server.respond = json(200, { SecretString: 'value' });

      expect(await ask(service)).toEqual({ SecretString: 'value' });

      const [request] = server.requests as [ReceivedRequest];
      expect(request).toMatchObject({ method: 'POST', path: '/', body: '{"SecretId":"one"}' });
      expect(request.headers).toMatchObject({
        'content-type': type,
        'x-amz-security-token': 'the session',
        'x-amz-target': target,
      });
      const [, signedHeaders, signature] =
        /SignedHeaders=([^,]+), Signature=(\w+)$/.exec(request.headers['authorization'] ?? '') ?? [];
      expect(signedHeaders?.split(';')).toEqual(
        expect.arrayContaining(['host', 'x-amz-date', 'x-amz-security-token', 'x-amz-target']),
      );
      expect(signature).toBe(sign(request, service, signedHeaders ?? ''));
      expect(request.rawHeaders.filter((text) => text.toLowerCase() === 'host')).toHaveLength(1);
    },
  );

  test.each([
    ['a connection that breaks off', reset],
    ['an error of the service', json(500, { __type: 'InternalServiceError' })],
    ['throttling', json(400, { __type: 'ThrottlingException' })],
    ['too many requests', json(429, {})],
    ['a signature that aged on the way', json(400, { __type: 'InvalidSignatureException' })],
    ['no answer in time', hang],
  ] as [string, Respond][])('is sent once more after %s', async (_name, fault) => {
    server.respond = (response, request) =>
      (server.requests.length === 1 ? fault : json(200, { SecretString: 'value' }))(response, request);

    expect(await ask()).toEqual({ SecretString: 'value' });
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    [
      'that the second attempt meets too',
      json(500, { __type: 'InternalServiceError' }),
      'InternalServiceError',
      2,
    ],
    ['that a second attempt would meet', json(400, { __type: 'com.aws#AccessDenied' }), 'AccessDenied', 1],
    ['in an answer of another kind', json(200, {}), 'an answer that is not understood', 1],
    ['of a proxy', json(502, {}), 'status 502', 2],
  ] as [string, Respond, string, number][])(
    'fails with the name of an error %s',
    async (_name, fault, name, requests) => {
      server.respond = fault;

      const failure = await ask().catch((error: unknown) => error);

      expect(failure).toBeInstanceOf(AwsError);
      expect(failure).toMatchObject({ name });
      expect(server.requests).toHaveLength(requests);
    },
  );

  test('that is not answered keeps half of the time for the second attempt', async () => {
    server.respond = (response, request) =>
      (server.requests.length === 1 ? hang : json(200, {}))(response, request);
    const patient = new AwsService('sqs', awsEnvironment(server.url, credentials), 5_000);
    expect(await patient.call('DoIt', {}, v.unknown(), 1_000)).toEqual({});
    expect(server.requests).toHaveLength(2);
  });

  test('may be answered with nothing', async () => {
    server.respond = (response) => void response.writeHead(200).end();
    const sqs = new AwsService('sqs', awsEnvironment(server.url, credentials));
    expect(await sqs.call('DeleteMessage', {}, v.unknown())).toEqual({});
  });

  test('is not sent again if the time is up after the pause', async () => {
    server.respond = hang;

    await expect(ask('sqs', 80)).rejects.toThrow('no answer in time');
    expect(server.requests).toHaveLength(1);
  });
});

describe('a service', () => {
  test.each([
    ['secretsmanager', { AWS_REGION: 'eu-central-1' }, 'https://secretsmanager.eu-central-1.amazonaws.com'],
    ['sqs', { AWS_REGION: 'us-gov-west-1' }, 'https://sqs.us-gov-west-1.amazonaws.com'],
    ['events', { AWS_REGION: 'cn-north-1' }, 'https://events.cn-north-1.amazonaws.com.cn'],
    ['sqs', { AWS_REGION: 'x', AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }, 'http://127.0.0.1:1'],
    ['sqs', { AWS_REGION: 'x', AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:3' }, 'http://127.0.0.1:3'],
    [
      'secretsmanager',
      { AWS_REGION: 'x', AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:4' },
      'http://127.0.0.1:4',
    ],
    [
      'events',
      {
        AWS_REGION: 'x',
        AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
        AWS_ENDPOINT_URL_EVENTBRIDGE: 'http://127.0.0.1:2',
      },
      'http://127.0.0.1:2',
    ],
  ] as const)('%s is found: %j', (service, variables, origin) => {
    expect(findAwsEndpoint(service, variables).origin).toBe(origin);
  });
});

/** Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function sign(
  { method, headers, body }: ReceivedRequest,
  service: AwsServiceName,
  signedHeaders: string,
): string {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const canonicalHeaders = signedHeaders.split(';').map((name) => `${name}:${headers[name]}\n`);
  const canonicalRequest = [method, '/', '', canonicalHeaders.join(''), signedHeaders, sha256(body)].join(
    '\n',
  );
  const moment = String(headers['x-amz-date']);
  const scope = [moment.slice(0, 8), 'eu-central-1', service, 'aws4_request'];
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const toSign = ['AWS4-HMAC-SHA256', moment, scope.join('/'), sha256(canonicalRequest)].join('\n');
  return hmac(key, toSign).toString('hex');
}

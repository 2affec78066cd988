import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readAwsEnvironment, SecretsManager } from '../../../lambda/adapters/secrets-manager.ts';
import { FakeHttpServer, json, type ReceivedRequest, type Respond, reset } from '../fakes/http-server.ts';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:spotify-AbCdEf';
const credentials = { accessKeyId: 'AKID', secretAccessKey: 'the secret', sessionToken: 'the session' };

let server: FakeHttpServer;
let secretsManager: SecretsManager;

beforeAll(async () => {
  server = await FakeHttpServer.start();
  secretsManager = new SecretsManager({
    endpoint: server.url,
    region: 'eu-central-1',
    credentials,
    timeoutMilliseconds: 1_000,
  });
});
afterAll(() => server.stop());
beforeEach(() => server.reset());

describe('a request', () => {
  test('is signed as AWS describes it, with the session of the role', async () => {
    server.respond = json(200, { SecretString: 'value' });

    expect(await secretsManager.getSecretValue(ARN)).toBe('value');

    const [request] = server.requests as [ReceivedRequest];
    expect(request.headers['x-amz-security-token']).toBe('the session');
    const [, signedHeaders, signature] =
      /SignedHeaders=([^,]+), Signature=(\w+)$/.exec(request.headers['authorization'] ?? '') ?? [];
    expect(signedHeaders?.split(';')).toEqual(
      expect.arrayContaining(['host', 'x-amz-date', 'x-amz-security-token', 'x-amz-target']),
    );
    expect(signature).toBe(sign(request, signedHeaders ?? ''));
  });

  test.each([
    ['a connection that breaks off', reset],
    ['an error of the server', json(500, { __type: 'InternalServiceError' })],
    ['throttling', json(400, { __type: 'ThrottlingException' })],
  ] as [string, Respond][])('is sent once more after %s', async (_name, fault) => {
    server.respond = (response, request) =>
      (server.requests.length === 1 ? fault : json(200, { SecretString: 'value' }))(response, request);

    expect(await secretsManager.getSecretValue(ARN)).toBe('value');
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    ['a second one', json(500, { __type: 'InternalServiceError' }), 'InternalServiceError', 2],
    [
      'one that a second request would meet',
      json(400, { __type: 'a.b#AccessDeniedException' }),
      'AccessDeniedException',
      1,
    ],
  ] as [string, Respond, string, number][])(
    'fails with the name of an error: %s',
    async (_name, fault, name, requests) => {
      server.respond = fault;

      await expect(secretsManager.describeSecret(ARN)).rejects.toThrow(expect.objectContaining({ name }));
      expect(server.requests).toHaveLength(requests);
    },
  );
});

describe('where Secrets Manager is', () => {
  test.each([
    [{ AWS_REGION: 'eu-central-1' }, 'https://secretsmanager.eu-central-1.amazonaws.com/'],
    [{ AWS_REGION: 'us-gov-west-1' }, 'https://secretsmanager.us-gov-west-1.amazonaws.com/'],
    [{ AWS_REGION: 'cn-north-1' }, 'https://secretsmanager.cn-north-1.amazonaws.com.cn/'],
    [{ AWS_REGION: 'x', AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }, 'http://127.0.0.1:1/'],
    [
      {
        AWS_REGION: 'x',
        AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
        AWS_ENDPOINT_URL_SECRETS_MANAGER: 'http://127.0.0.1:2',
      },
      'http://127.0.0.1:2/',
    ],
  ])('%j: %s', (variables, endpoint) => {
    expect(readAwsEnvironment(variables).endpoint.href).toBe(endpoint);
  });
});

/** Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function sign({ method, headers, body }: ReceivedRequest, signedHeaders: string): string {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const canonicalHeaders = signedHeaders.split(';').map((name) => `${name}:${headers[name]}\n`);
  const canonicalRequest = [method, '/', '', canonicalHeaders.join(''), signedHeaders, sha256(body)].join(
    '\n',
  );
  const moment = String(headers['x-amz-date']);
  const scope = [moment.slice(0, 8), 'eu-central-1', 'secretsmanager', 'aws4_request'];
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const toSign = ['AWS4-HMAC-SHA256', moment, scope.join('/'), sha256(canonicalRequest)].join('\n');
  return hmac(key, toSign).toString('hex');
}

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Metrics } from '../src/cloudwatch/metrics.ts';
import { HttpApi } from '../src/http-api/http-api.ts';
import type { InvocationResult } from '../src/invocation.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createFunction, createRole } from './fake-cdk-out.ts';

const template = loadTemplate(
  createFakeCdkOut(
    {
      workerRole: createRole('lambda.amazonaws.com'),
      worker: createFunction('worker'),
      Api: {
        Type: 'AWS::ApiGatewayV2::Api',
        Properties: {
          Name: 'test-api',
          ProtocolType: 'HTTP',
          CorsConfiguration: {
            AllowHeaders: ['authorization'],
            AllowMethods: ['GET'],
            AllowOrigins: ['https://app.example'],
            ExposeHeaders: ['retry-after', 'apigw-requestid'],
            MaxAge: 3600,
          },
        },
      },
      Stage: {
        Type: 'AWS::ApiGatewayV2::Stage',
        Properties: {
          ApiId: { Ref: 'Api' },
          AutoDeploy: true,
          StageName: '$default',
          AccessLogSettings: {
            DestinationArn: 'arn:aws:logs:us-east-1:123456789012:log-group:access',
            Format:
              '{"id":"$context.requestId","route":"$context.routeKey","status":"$context.status","error":"$context.error.message"}',
          },
        },
      },
      Integration: {
        Type: 'AWS::ApiGatewayV2::Integration',
        Properties: {
          ApiId: { Ref: 'Api' },
          IntegrationType: 'AWS_PROXY',
          IntegrationUri: { 'Fn::GetAtt': ['worker', 'Arn'] },
          PayloadFormatVersion: '2.0',
        },
      },
      Route: createRoute('GET /status/{user_id}'),
      FixedRoute: createRoute('GET /status/self'),
      UnpermittedRoute: createRoute('GET /unpermitted'),
      Permission: {
        Type: 'AWS::Lambda::Permission',
        Properties: {
          Action: 'lambda:InvokeFunction',
          FunctionName: { 'Fn::GetAtt': ['worker', 'Arn'] },
          Principal: 'apigateway.amazonaws.com',
          SourceArn: {
            'Fn::Join': [
              '',
              ['arn:aws:execute-api:us-east-1:123456789012:', { Ref: 'Api' }, '/*/*/status/*'],
            ],
          },
        },
      },
    },
    { worker: '' },
  ),
);

function createRoute(routeKey: string) {
  return {
    Type: 'AWS::ApiGatewayV2::Route',
    Properties: {
      ApiId: { Ref: 'Api' },
      RouteKey: routeKey,
      Target: { 'Fn::Join': ['/', ['integrations', { Ref: 'Integration' }]] },
    },
  };
}

let api: HttpApi;
let result: InvocationResult;
let events: unknown[];
let logLines: string[];
let metrics: Metrics;

beforeEach(async () => {
  result = { payload: '{"statusCode":200}' };
  events = [];
  logLines = [];
  metrics = new Metrics();
  api = await HttpApi.start({
    template,
    invoke: async (_functionArn, event) => {
      events.push(event);
      return result;
    },
    metrics,
    onLog: (source, line) => logLines.push(`${source}: ${line}`),
    preferredPort: 0,
  });
});

afterEach(() => api.stop());

test('the function receives an event of payload format 2.0', async () => {
  const response = await fetch(`${api.url}/status/a%20b?x=1&y=2&x=3%204`, {
    headers: { 'X-Custom': 'Value', Cookie: 'a=1; b=2', 'User-Agent': 'test-agent' },
  });
  const requestId = response.headers.get('apigw-requestid');
  expect(requestId).toMatch(/^[\w+/]{15}=$/);
  const apiId = template.resourcesOfType('AWS::ApiGatewayV2::Api')[0]?.ref;
  expect(events).toEqual([
    {
      version: '2.0',
      routeKey: 'GET /status/{user_id}',
      rawPath: '/status/a b',
      rawQueryString: 'x=1&y=2&x=3%204',
      cookies: ['a=1', 'b=2'],
      headers: expect.objectContaining({
        host: api.url.replace('http://', ''),
        'user-agent': 'test-agent',
        'x-custom': 'Value',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'https',
        'x-amzn-trace-id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
      }),
      queryStringParameters: { x: '1,3 4', y: '2' },
      requestContext: {
        accountId: '123456789012',
        apiId,
        domainName: `${apiId}.execute-api.us-east-1.amazonaws.com`,
        domainPrefix: apiId,
        http: {
          method: 'GET',
          path: '/status/a b',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'test-agent',
        },
        requestId,
        routeKey: 'GET /status/{user_id}',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      pathParameters: { user_id: 'a b' },
      isBase64Encoded: false,
    },
  ]);
});

test('a route without variables goes before one with', async () => {
  await fetch(`${api.url}/status/self`);
  expect(events).toEqual([expect.objectContaining({ routeKey: 'GET /status/self' })]);
});

describe('the answer', () => {
  test('is what the function says, header by header', async () => {
    result = {
      payload: JSON.stringify({
        statusCode: 401,
        headers: { 'WWW-Authenticate': 'Bearer', 'Content-Type': 'application/problem+json' },
        cookies: ['a=1', 'b=2'],
        body: Buffer.from('{"status":401}').toString('base64'),
        isBase64Encoded: true,
      }),
    };
    const response = await fetch(`${api.url}/status/1`);
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await response.json()).toEqual({ status: 401 });
  });

  test('is the function’s result as JSON where that has no status code', async () => {
    result = { payload: '{"connected":true}' };
    const response = await fetch(`${api.url}/status/1`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ connected: true });
  });

  test.each([
    ['the function fails', { payload: '{"errorMessage":"broken"}', functionError: 'Unhandled' } as const],
    ['the status code is none', { payload: '{"statusCode":"none"}' }],
    ['a header would be two', { payload: '{"statusCode":200,"headers":{"a":"1\\r\\nb: 2"}}' }],
  ])('is a 500 of the gateway where %s', async (_case, failing) => {
    result = failing;
    const response = await fetch(`${api.url}/status/1`);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ message: 'Internal Server Error' });
  });

  test('is a 500 of the gateway where it may not invoke the function', async () => {
    const response = await fetch(`${api.url}/unpermitted`);
    expect(response.status).toBe(500);
    expect(events).toEqual([]);
  });

  test.each([
    ['GET', '/unknown'],
    ['POST', '/status/1'],
    ['GET', '/status/'],
    ['GET', '/status/1/2'],
  ])('is a 404 of the gateway for %s %s', async (method, path) => {
    const response = await fetch(`${api.url}${path}`, { method });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ message: 'Not Found' });
    expect(response.headers.has('apigw-requestid')).toBe(true);
  });

  test('is a 400 of the gateway for a variable that is not validly encoded', async () => {
    expect((await fetch(`${api.url}/status/%E0%A4%A`)).status).toBe(400);
  });
});

describe('CORS', () => {
  const preflight = (origin: string) =>
    fetch(`${api.url}/status/1`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'GET' },
    });
  const corsHeaders = (response: Response) =>
    Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('access-control-')));

  test('a preflight from a configured origin is answered by the gateway', async () => {
    const response = await preflight('https://app.example');
    expect(response.status).toBe(204);
    expect(corsHeaders(response)).toEqual({
      'access-control-allow-headers': 'authorization',
      'access-control-allow-methods': 'GET',
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'retry-after,apigw-requestid',
      'access-control-max-age': '3600',
    });
    expect(events).toEqual([]);
  });

  test('one more origin can be allowed, and is then treated like those', async () => {
    const page = 'http://127.0.0.1:8788';
    expect(corsHeaders(await preflight(page))).toEqual({});

    api.allowOrigin(page);

    expect(corsHeaders(await preflight(page))).toMatchObject({ 'access-control-allow-origin': page });
    expect(corsHeaders(await preflight(`${page}0`))).toEqual({});
  });

  test('a preflight from any other origin is permitted nothing', async () => {
    const response = await preflight('https://app.example.evil.example');
    expect(response.status).toBe(204);
    expect(corsHeaders(response)).toEqual({});
  });

  test('an answer carries the configured headers instead of the function’s own', async () => {
    result = { payload: '{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"}}' };
    const read = async (origin: string) =>
      corsHeaders(await fetch(`${api.url}/status/1`, { headers: { origin } }));
    expect(await read('https://app.example')).toEqual({
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'retry-after,apigw-requestid',
    });
    expect(await read('https://evil.example')).toEqual({});
  });
});

test('every request leaves a line in the access log, as the stage formats it', async () => {
  const found = await fetch(`${api.url}/status/1`);
  const notFound = await fetch(`${api.url}/unknown`);
  expect(logLines.map((line) => JSON.parse(line.replace('test-api: ', '')))).toEqual([
    {
      id: found.headers.get('apigw-requestid'),
      route: 'GET /status/{user_id}',
      status: '200',
      error: '-',
    },
    { id: notFound.headers.get('apigw-requestid'), route: '-', status: '404', error: 'Not Found' },
  ]);
});

test('every request is measured, with client errors and server errors apart', async () => {
  const apiId = template.resourcesOfType('AWS::ApiGatewayV2::Api')[0]?.ref ?? '';
  const valuesOf = (name: string) =>
    metrics.valuesOf({ namespace: 'AWS/ApiGateway', name, dimensions: { ApiId: apiId } }, 0, Date.now() + 1);
  await fetch(`${api.url}/status/1`);
  await fetch(`${api.url}/unknown`);
  result = { payload: '{"statusCode":503}' };
  await fetch(`${api.url}/status/1`);

  expect(valuesOf('Count')).toEqual([1, 1, 1]);
  expect(valuesOf('4xx')).toEqual([0, 1, 0]);
  expect(valuesOf('5xx')).toEqual([0, 0, 1]);
  expect(valuesOf('Latency').every((millis) => millis >= 0 && millis < 60_000)).toBe(true);
  expect(valuesOf('Latency')).toHaveLength(3);
});

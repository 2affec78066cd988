import { describe, expect, test } from '@jest/globals';
import { findFunction, findOnly, findProperties } from './find-resources.ts';
import { requiredSettings } from './required-settings.ts';
import { synthesize } from './synthesize.ts';

describe('the status function', () => {
  test('knows where to read, how long it may take and when to refresh', () => {
    const template = synthesize({
      spotifyTokenUrl: 'https://accounts.example.com/token',
      statusRefreshMarginMinutes: 7,
      statusBudgetSeconds: 4,
      statusTimeoutSeconds: 6,
      statusMemoryMegabytes: 256,
    });

    const { Environment, Timeout, MemorySize } = findFunction(template, 'StatusApi');

    expect({ Timeout, MemorySize }).toEqual({ Timeout: 6, MemorySize: 256 });
    expect(Environment.Variables).toEqual({
      STACK_NAME: expect.stringMatching(/^SpotifyAuth-/),
      SUPABASE_URL: requiredSettings.supabaseUrl,
      SUPABASE_TOKEN_ISSUERS: JSON.stringify([`${requiredSettings.supabaseUrl}/auth/v1`]),
      SUPABASE_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSupabase/) },
      SPOTIFY_SECRET_ARN: { Ref: expect.stringMatching(/^CredentialsSpotify/) },
      SPOTIFY_TOKEN_URL: 'https://accounts.example.com/token',
      RESCUE_QUEUE_URL: { Ref: expect.stringMatching(/^RescueQueue[0-9A-F]{8}$/) },
      RESCUE_KEY_ARN: { Ref: expect.stringMatching(/^RescueQueueKey/) },
      STATUS_REFRESH_MARGIN_SECONDS: '420',
      STATUS_BUDGET_SECONDS: '4',
    });
  });
});

describe('the HTTP API', () => {
  const template = synthesize({
    throttleRequestsPerSecond: 50,
    throttleBurstRequests: 75,
    logRetentionDays: 7,
  });

  test('has the three routes of the status call and no other', () => {
    const routes = findProperties(template, 'AWS::ApiGatewayV2::Route');
    const [integrationId] = Object.keys(template.findResources('AWS::ApiGatewayV2::Integration'));

    expect(routes.map(({ RouteKey }) => RouteKey)).toEqual([
      'GET /api/v1/agents/music/status/{user_id}',
      'GET /agents/music/status/{user_id}',
      'GET /music/status/{user_id}',
    ]);
    for (const { AuthorizationType, Target } of routes) {
      expect(AuthorizationType).toBe('NONE');
      expect(Target).toEqual({ 'Fn::Join': ['', ['integrations/', { Ref: integrationId }]] });
    }
  });

  test('hands every request to the status function, in payload format 2.0', () => {
    expect(findProperties(template, 'AWS::ApiGatewayV2::Integration')).toEqual([
      {
        ApiId: { Ref: expect.any(String) },
        IntegrationType: 'AWS_PROXY',
        IntegrationUri: {
          'Fn::GetAtt': [expect.stringMatching(/^StatusApiStatusFunction[0-9A-F]{8}$/), 'Arn'],
        },
        PayloadFormatVersion: '2.0',
      },
    ]);
  });

  test('may invoke the status function for its own routes only', () => {
    const permissions = findProperties(template, 'AWS::Lambda::Permission');

    expect(permissions.map(({ SourceArn }) => SourceArn['Fn::Join'][1].at(-1))).toEqual([
      '/*/*/api/v1/agents/music/status/{user_id}',
      '/*/*/agents/music/status/{user_id}',
      '/*/*/music/status/{user_id}',
    ]);
    for (const { Action, Principal } of permissions) {
      expect({ Action, Principal }).toEqual({
        Action: 'lambda:InvokeFunction',
        Principal: 'apigateway.amazonaws.com',
      });
    }
  });

  test('answers the pages of the configured origins, and lets them read what they need', () => {
    const api = findOnly(template, 'AWS::ApiGatewayV2::Api');

    expect(api.CorsConfiguration).toEqual({
      AllowOrigins: requiredSettings.allowedOrigins,
      AllowMethods: ['GET'],
      AllowHeaders: ['authorization'],
      ExposeHeaders: ['retry-after', 'apigw-requestid'],
      MaxAge: 3600,
    });
  });

  test('throttles as configured', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');

    expect(stage).toMatchObject({
      StageName: '$default',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 75 },
    });
  });

  test('logs each request by its route, without the path or the caller', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');

    expect(JSON.parse(stage.AccessLogSettings.Format)).toEqual({
      requestId: '$context.requestId',
      requestTime: '$context.requestTime',
      routeKey: '$context.routeKey',
      status: '$context.status',
      responseLatency: '$context.responseLatency',
      integrationLatency: '$context.integrationLatency',
      integrationStatus: '$context.integrationStatus',
      integrationError: '$context.integrationErrorMessage',
      error: '$context.error.message',
    });
  });

  test('keeps its access log as long as configured', () => {
    const stage = findOnly(template, 'AWS::ApiGatewayV2::Stage');
    const [logGroupId] = stage.AccessLogSettings.DestinationArn['Fn::GetAtt'];

    expect(template.findResources('AWS::Logs::LogGroup')[logGroupId]).toMatchObject({
      Properties: { LogGroupName: '/aws/vendedlogs/SpotifyAuth-test-access', RetentionInDays: 7 },
    });
  });
});

describe('the domain of the API', () => {
  const certificateArn =
    'arn:aws:acm:eu-west-1:123456789012:certificate/12345678-90ab-cdef-1234-567890abcdef';
  const template = synthesize({ domainName: 'spotify-auth.example.com', certificateArn });

  test('is served with its certificate, over TLS 1.2 and up', () => {
    expect(findOnly(template, 'AWS::ApiGatewayV2::DomainName')).toEqual({
      DomainName: 'spotify-auth.example.com',
      DomainNameConfigurations: [
        { CertificateArn: certificateArn, EndpointType: 'REGIONAL', SecurityPolicy: 'TLS_1_2' },
      ],
    });
  });

  test('leads to the API', () => {
    const [domainId] = Object.keys(template.findResources('AWS::ApiGatewayV2::DomainName'));
    const [apiId] = Object.keys(template.findResources('AWS::ApiGatewayV2::Api'));

    expect(findOnly(template, 'AWS::ApiGatewayV2::ApiMapping')).toEqual({
      ApiId: { Ref: apiId },
      DomainName: { Ref: domainId },
      Stage: '$default',
    });
  });

  test('is in the outputs, with the name that its DNS record has to point at', () => {
    const { ApiUrl, DomainTarget } = template.findOutputs('*');

    expect(ApiUrl?.['Value']).toBe('https://spotify-auth.example.com');
    expect(DomainTarget?.['Value']).toEqual({
      'Fn::GetAtt': [expect.stringMatching(/^StatusApiDomain/), 'RegionalDomainName'],
    });
  });

  test('is the one that AWS makes up where none is configured', () => {
    synthesize().resourceCountIs('AWS::ApiGatewayV2::DomainName', 0);
  });
});

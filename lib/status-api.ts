import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AccessLogFormat, AccessLogField as field } from 'aws-cdk-lib/aws-apigateway';
import {
  CorsHttpMethod,
  HttpApi,
  HttpMethod,
  HttpStage,
  LogGroupLogDestination,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { EnvironmentVariables } from '../lambda/environment-variables.ts';
import { ConnectionFunction } from './connection-function.ts';
import type { Credentials } from './credentials.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageConfiguration } from './stage-configuration.ts';

/** Bondhu's frontend calls the first. The others are what its backend served before. */
const paths = [
  '/api/v1/agents/music/status/{user_id}',
  '/agents/music/status/{user_id}',
  '/music/status/{user_id}',
];

/** The access log carries the route, not the path or the caller's address: those tell who asked. */
const accessLogFormat = AccessLogFormat.custom(
  JSON.stringify({
    requestId: field.contextRequestId(),
    requestTime: field.contextRequestTime(),
    routeKey: field.contextRouteKey(),
    status: field.contextStatus(),
    responseLatency: field.contextResponseLatency(),
    integrationLatency: field.contextIntegrationLatency(),
    integrationStatus: field.contextIntegrationStatus(),
    integrationError: field.contextIntegrationErrorMessage(),
    error: field.contextErrorMessage(),
  }),
);

export interface StatusApiProps extends StageConfiguration {
  readonly credentials: Credentials;

  readonly rescueQueue: RescueQueue;
}

/** The HTTP API that tells the frontend whether a user is connected, and the function behind it. */
export class StatusApi extends Construct {
  readonly function: IFunction;

  /** Address of the API, without a trailing slash. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: StatusApiProps) {
    super(scope, id);

    this.function = new ConnectionFunction(this, 'StatusFunction', {
      ...props,
      capability: 'status',
      description:
        'Tells whether a user is connected to Spotify, and refreshes a token that is about to expire.',
      timeoutSeconds: props.statusTimeoutSeconds,
      memoryMegabytes: props.statusMemoryMegabytes,
      environment: {
        [EnvironmentVariables.statusRefreshMarginSeconds]: String(props.statusRefreshMarginMinutes * 60),
        [EnvironmentVariables.statusBudgetSeconds]: String(props.statusBudgetSeconds),
      },
    }).function;

    const api = new HttpApi(this, 'HttpApi', {
      apiName: Stack.of(this).stackName,
      description: 'Tells whether a user is connected to Spotify.',
      createDefaultStage: false,
      corsPreflight: {
        allowOrigins: props.allowedOrigins,
        allowMethods: [CorsHttpMethod.GET],
        allowHeaders: ['authorization'],
        exposeHeaders: ['retry-after', 'apigw-requestid'],
        maxAge: Duration.hours(1),
      },
    });
    this.url = api.apiEndpoint;

    const integration = new HttpLambdaIntegration('StatusIntegration', this.function);
    for (const path of paths) api.addRoutes({ path, methods: [HttpMethod.GET], integration });

    const accessLogs = new LogGroup(this, 'AccessLogs', {
      // API Gateway adds each log group without this prefix to a resource policy that soon is full.
      logGroupName: `/aws/vendedlogs/${Stack.of(this).stackName}-access`,
      retention: props.logRetentionDays,
      // Kept, its fixed name would stand in the way of the next deployment.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: props.throttleRequestsPerSecond, burstLimit: props.throttleBurstRequests },
      accessLogSettings: { destination: new LogGroupLogDestination(accessLogs), format: accessLogFormat },
    });
  }
}

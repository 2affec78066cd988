import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { AccessLogFormat, AccessLogField as field } from 'aws-cdk-lib/aws-apigateway';
import {
  ApiMapping,
  CorsHttpMethod,
  DomainName,
  HttpApi,
  HttpMethod,
  HttpStage,
  LogGroupLogDestination,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import { type ILogGroup, LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { EnvironmentVariables } from '../lambda/environment-variables.ts';
import { ConnectionFunction } from './connection-function.ts';
import type { Credentials } from './credentials.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageSettings } from './settings/stage-settings.ts';

/** Bondhu's frontend calls the first path. Its old backend served the others. */
const paths = [
  '/api/v1/agents/music/status/{user_id}',
  '/agents/music/status/{user_id}',
  '/music/status/{user_id}',
];

/** The access log contains the route, but neither path nor address, which would identify the user. */
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

export interface StatusApiProps
  extends Pick<
    StageSettings,
    | 'supabaseUrl'
    | 'tokenIssuers'
    | 'spotifyTokenUrl'
    | 'allowedOrigins'
    | 'statusRefreshMarginMinutes'
    | 'statusBudgetSeconds'
    | 'statusTimeoutSeconds'
    | 'statusMemoryMegabytes'
    | 'throttleRequestsPerSecond'
    | 'throttleBurstRequests'
    | 'logLevel'
    | 'logRetentionDays'
    | 'domainName'
    | 'certificateArn'
  > {
  readonly credentials: Credentials;

  readonly rescueQueue: RescueQueue;
}

/** The HTTP API that tells the frontend whether a user is connected, and the function behind it. */
export class StatusApi extends Construct {
  readonly function: NodejsFunction;

  readonly api: HttpApi;

  readonly accessLogs: ILogGroup;

  /** The API's custom domain, if it has one. */
  readonly domain: DomainName | null;

  /** URL of the API, without a trailing slash. */
  readonly url: string;

  constructor(scope: Construct, id: string, props: StatusApiProps) {
    super(scope, id);

    this.function = new ConnectionFunction(this, 'StatusFunction', {
      ...props,
      capability: 'status',
      description:
        'Says whether a user is connected to Spotify, and refreshes a token that is about to expire.',
      timeoutSeconds: props.statusTimeoutSeconds,
      memoryMegabytes: props.statusMemoryMegabytes,
      environment: {
        [EnvironmentVariables.statusRefreshMarginSeconds]: String(props.statusRefreshMarginMinutes * 60),
        [EnvironmentVariables.statusBudgetSeconds]: String(props.statusBudgetSeconds),
      },
    }).function;
    Validations.of(this.function).acknowledge({
      id: 'Serverless-LambdaDLQ',
      reason: 'The API waits for the answer, so no event can be lost.',
    });

    this.api = new HttpApi(this, 'HttpApi', {
      apiName: Stack.of(this).stackName,
      description: 'Says whether a user is connected to Spotify.',
      createDefaultStage: false,
      corsPreflight: {
        allowOrigins: props.allowedOrigins,
        allowMethods: [CorsHttpMethod.GET],
        allowHeaders: ['authorization'],
        exposeHeaders: ['retry-after', 'apigw-requestid'],
        maxAge: Duration.hours(1),
      },
    });

    const integration = new HttpLambdaIntegration('StatusIntegration', this.function);
    for (const path of paths) {
      for (const route of this.api.addRoutes({ path, methods: [HttpMethod.GET], integration })) {
        Validations.of(route).acknowledge({
          id: 'AwsSolutions-APIG4',
          reason: 'The function checks the token: the JWT authorizers of HTTP APIs only support RSA.',
        });
      }
    }

    this.accessLogs = new LogGroup(this, 'AccessLogs', {
      // API Gateway adds each log group without this prefix to a resource policy that soon is full.
      logGroupName: `/aws/vendedlogs/${Stack.of(this).stackName}-access`,
      retention: props.logRetentionDays,
      // If it were retained, its fixed name would block the next deployment.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = new HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: props.throttleRequestsPerSecond, burstLimit: props.throttleBurstRequests },
      accessLogSettings: {
        destination: new LogGroupLogDestination(this.accessLogs),
        format: accessLogFormat,
      },
    });

    if (props.domainName === undefined || props.certificateArn === undefined) {
      this.domain = null;
      this.url = this.api.apiEndpoint;
      return;
    }
    this.domain = new DomainName(this, 'Domain', {
      domainName: props.domainName,
      certificate: Certificate.fromCertificateArn(this, 'Certificate', props.certificateArn),
      securityPolicy: SecurityPolicy.TLS_1_2,
    });
    // The generated address stays enabled, so that pages that still use it keep working.
    new ApiMapping(this, 'DomainMapping', { api: this.api, domainName: this.domain, stage });
    this.url = `https://${props.domainName}`;
  }
}

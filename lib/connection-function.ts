import { join } from 'node:path';
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { ApplicationLogLevel, Architecture, LoggingFormat, Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { EnvironmentVariables } from '../lambda/environment-variables.ts';
import type { Credentials } from './credentials.ts';
import { FUNCTION_BUNDLE } from './function-bundle.ts';
import type { RescueQueue } from './rescue-queue.ts';
import type { StageSettings } from './settings/stage-settings.ts';

const projectRoot = join(import.meta.dirname, '..');

export interface ConnectionFunctionProps
  extends Pick<
    StageSettings,
    'supabaseUrl' | 'tokenIssuers' | 'spotifyTokenUrl' | 'logLevel' | 'logRetentionDays'
  > {
  /** The folder in `lambda/` with the function's `handler.ts`; also the end of the log group's name. */
  readonly capability: 'status' | 'sweeper';

  readonly description: string;

  readonly credentials: Credentials;

  readonly rescueQueue: RescueQueue;

  /** Variables that only this function has, in addition to those of every connection function. */
  readonly environment: Record<string, string>;

  readonly timeoutSeconds: number;

  readonly memoryMegabytes: number;
}

/** A function that can refresh connections: it knows Supabase and Spotify, may read their credentials, and may send to the rescue queue. */
export class ConnectionFunction extends Construct {
  readonly function: NodejsFunction;

  constructor(scope: Construct, id: string, props: ConnectionFunctionProps) {
    super(scope, id);

    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${Stack.of(this).stackName}-${props.capability}`,
      retention: props.logRetentionDays,
      // If it were retained, its fixed name would block the next deployment.
      removalPolicy: RemovalPolicy.DESTROY,
    });

    // A dedicated role, because CDK's default role may write to every log group of the account.
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);
    props.credentials.grantRead(role);
    props.rescueQueue.grantSend(role);

    this.function = new NodejsFunction(this, 'Function', {
      description: props.description,
      entry: join(projectRoot, 'lambda', props.capability, 'handler.ts'),
      projectRoot,
      depsLockFilePath: join(projectRoot, 'package-lock.json'),
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      bundling: {
        format: OutputFormat.ESM,
        mainFields: FUNCTION_BUNDLE.mainFields,
        target: FUNCTION_BUNDLE.target,
        // AWS's signer in the version of the lock file, not that of Lambda's runtime.
        bundleAwsSDK: true,
        esbuildArgs: Object.fromEntries(
          Object.entries(FUNCTION_BUNDLE.alias).map(([name, file]) => [`--alias:${name}`, file]),
        ),
        minify: true,
        sourceMap: true,
        sourcesContent: false,
      },
      role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      applicationLogLevelV2: ApplicationLogLevel[props.logLevel],
      timeout: Duration.seconds(props.timeoutSeconds),
      memorySize: props.memoryMegabytes,
      environment: {
        [EnvironmentVariables.stackName]: Stack.of(this).stackName,
        [EnvironmentVariables.supabaseUrl]: props.supabaseUrl,
        [EnvironmentVariables.supabaseTokenIssuers]: JSON.stringify(
          props.tokenIssuers ?? [`${props.supabaseUrl}/auth/v1`],
        ),
        [EnvironmentVariables.supabaseSecretArn]: props.credentials.supabase.secretArn,
        [EnvironmentVariables.spotifySecretArn]: props.credentials.spotify.secretArn,
        [EnvironmentVariables.spotifyTokenUrl]: props.spotifyTokenUrl,
        [EnvironmentVariables.rescueQueueUrl]: props.rescueQueue.queue.queueUrl,
        [EnvironmentVariables.rescueKeyArn]: props.rescueQueue.key.secretArn,
        ...props.environment,
      },
    });
    Validations.of(this.function).acknowledge({
      id: 'Serverless-LambdaTracing',
      reason:
        'The latency metrics and the request ids in both logs already show what traces would, and a permission for X-Ray cannot be limited to a resource.',
    });
  }
}

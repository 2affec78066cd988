import {
  AccessControl,
  CredentialIssuer,
  loadTemplate,
  Queues,
  SecretsManager,
  SqsEndpoint,
} from 'cdk-out-local';

/** A function as the stack deploys it: its bundle, and the environment that its process needs. */
export interface DeployedFunction {
  /** The unpacked bundle. */
  readonly taskRoot: string;
  readonly arn: string;
  readonly timeoutSeconds: number;
  readonly memoryMegabytes: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** The functions of a synthesized stack with Secrets Manager and SQS. Only the bench invokes them. */
export interface DeployedFunctions extends AsyncDisposable {
  readonly status: DeployedFunction;
  readonly sweeper: DeployedFunction;
}

export interface DeployOptions {
  readonly cdkOutDirectory: string;
  readonly supabase: { readonly url: string; readonly secretKey: string };
  readonly tokenUrl: string;
}

/** Starts the AWS services that the functions use and fills in the secrets. */
export async function deployFunctions(options: DeployOptions): Promise<DeployedFunctions> {
  const template = loadTemplate(options.cdkOutDirectory);
  const access = new AccessControl(template);
  const credentials = new CredentialIssuer();
  const secretsManager = await SecretsManager.start({ template, access, credentials, preferredPort: 0 });
  const sqs = await SqsEndpoint.start({ queues: new Queues(template), access, credentials });
  const { SpotifySecretArn = '', SupabaseSecretArn = '' } = template.outputs;
  secretsManager.putSecretValue(SpotifySecretArn, '{"client_id": "client", "client_secret": "secret"}');
  secretsManager.putSecretValue(
    SupabaseSecretArn,
    JSON.stringify({ secret_key: options.supabase.secretKey }),
  );

  function find(capability: 'status' | 'sweeper'): DeployedFunction {
    const found = template
      .resourcesOfType('AWS::Lambda::Function')
      .find(({ properties }) => properties.LoggingConfig?.LogGroup?.endsWith(`-${capability}`));
    if (found === undefined) throw new Error(`the stack has no function ${capability}`);
    const { ref: name, attributes, properties } = found;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials.issue({
      functionName: name,
      roleArn: properties.Role,
    });
    return {
      taskRoot: template.findAssetDirectory(properties.Code.S3Key),
      arn: attributes.Arn,
      timeoutSeconds: properties.Timeout,
      memoryMegabytes: properties.MemorySize,
      environment: {
        ...properties.Environment?.Variables,
        SUPABASE_URL: options.supabase.url,
        SUPABASE_TOKEN_ISSUERS: JSON.stringify([`${options.supabase.url}/auth/v1`]),
        SPOTIFY_TOKEN_URL: options.tokenUrl,
        AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsManager.url,
        AWS_ENDPOINT_URL_SQS: sqs.url,
        _HANDLER: properties.Handler,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
        AWS_EXECUTION_ENV: `AWS_Lambda_${properties.Runtime}`,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(properties.MemorySize),
        AWS_LAMBDA_FUNCTION_NAME: name,
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_LOG_FORMAT: properties.LoggingConfig?.LogFormat ?? 'Text',
        AWS_LAMBDA_LOG_GROUP_NAME: properties.LoggingConfig?.LogGroup ?? '',
        AWS_LAMBDA_LOG_STREAM_NAME: 'bench',
        AWS_REGION: template.region,
        LAMBDA_TASK_ROOT: template.findAssetDirectory(properties.Code.S3Key),
        PATH: process.env['PATH'] ?? '',
        TZ: ':UTC',
      },
    };
  }

  return {
    status: find('status'),
    sweeper: find('sweeper'),
    async [Symbol.asyncDispose]() {
      await Promise.all([secretsManager.stop(), sqs.stop()]);
    },
  };
}

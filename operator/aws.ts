import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SNSClient } from '@aws-sdk/client-sns';

/** The AWS clients that the commands use. */
export interface Aws {
  readonly cloudFormation: CloudFormationClient;
  readonly eventBridge: EventBridgeClient;
  readonly lambda: LambdaClient;
  readonly scheduler: SchedulerClient;
  readonly secretsManager: SecretsManagerClient;
  readonly sns: SNSClient;
}

const CONNECTION_TIMEOUT_MILLISECONDS = 5_000;
const REQUEST_TIMEOUT_MILLISECONDS = 20_000;

/** Longer than the longest sweep: Lambda stops it after 15 minutes. */
const INVOCATION_TIMEOUT_MILLISECONDS = 16 * 60_000;

/**
 * Clients for the account and region in the environment, as for every AWS tool.
 *
 * @param localEndpoint one address for all of AWS on this machine; the environment is then ignored
 */
export function connect(localEndpoint?: string): Aws {
  const place =
    localEndpoint === undefined
      ? {}
      : {
          endpoint: localEndpoint,
          region: 'us-east-1',
          credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
        };
  const configuration = { ...place, requestHandler: timeouts(REQUEST_TIMEOUT_MILLISECONDS) };
  return {
    cloudFormation: new CloudFormationClient(configuration),
    eventBridge: new EventBridgeClient(configuration),
    // No retries, so that a sweep is never started twice.
    lambda: new LambdaClient({
      ...place,
      maxAttempts: 1,
      requestHandler: timeouts(INVOCATION_TIMEOUT_MILLISECONDS),
    }),
    scheduler: new SchedulerClient(configuration),
    secretsManager: new SecretsManagerClient(configuration),
    sns: new SNSClient(configuration),
  };
}

function timeouts(requestTimeout: number) {
  return { connectionTimeout: CONNECTION_TIMEOUT_MILLISECONDS, requestTimeout, throwOnRequestTimeout: true };
}

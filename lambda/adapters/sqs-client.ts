import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';

/** Creates a client that uses the region's endpoint, or the one in the environment, instead of the host in a queue's address. */
export function createSqsClient(options: SQSClientConfig): SQSClient {
  return new SQSClient({ ...options, useQueueUrlAsEndpoint: false });
}

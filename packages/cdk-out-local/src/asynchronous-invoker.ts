import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AccessControl } from './access.ts';
import type { Metrics } from './cloudwatch/metrics.ts';
import type { InvocationResult } from './invocation.ts';
import type { Queue, Queues } from './queue.ts';
import type { StackTemplate } from './template.ts';

export interface AsynchronousInvokerOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly invoke: (functionArn: string, event: unknown, requestId: string) => Promise<InvocationResult>;
  readonly queues: Queues;
  readonly metrics: Metrics;
  /** Waiting times before the first and the second retry; by default Lambda's own. */
  readonly retryDelaysInSeconds?: readonly [number, number];
}

interface EventConfiguration {
  readonly maximumRetryAttempts: number;
  readonly maximumEventAgeInSeconds: number;
  readonly onFailure?: Queue;
}

/** Lambda's defaults for a function without an event invoke configuration. */
const DEFAULT_CONFIGURATION: EventConfiguration = {
  maximumRetryAttempts: 2,
  maximumEventAgeInSeconds: 21_600,
};

/**
 * Invokes functions as Lambda's asynchronous invocation does: it retries a failed event, and finally sends it to the
 * function's failure destination.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
 */
export class AsynchronousInvoker {
  readonly #invoke: AsynchronousInvokerOptions['invoke'];
  readonly #configurations: ReadonlyMap<string, EventConfiguration>;
  readonly #functionNames: ReadonlyMap<string, string>;
  readonly #metrics: Metrics;
  readonly #retryDelaysInSeconds: readonly number[];
  readonly #stopping = new AbortController();

  /** @throws if a function's role may not send to its failure destination, which a deployment rejects as well */
  constructor({
    template,
    access,
    invoke,
    queues,
    metrics,
    retryDelaysInSeconds = [60, 120],
  }: AsynchronousInvokerOptions) {
    this.#invoke = invoke;
    this.#metrics = metrics;
    this.#retryDelaysInSeconds = retryDelaysInSeconds;
    const functions = template.resourcesOfType('AWS::Lambda::Function');
    this.#functionNames = new Map(functions.map(({ attributes, ref }) => [attributes.Arn, ref]));
    this.#configurations = new Map(
      template.resourcesOfType('AWS::Lambda::EventInvokeConfig').map(({ logicalId, properties }) => {
        const target = functions.find(({ ref }) => ref === properties.FunctionName);
        if (!target) throw new Error(`${logicalId}: the stack has no function ${properties.FunctionName}`);
        const destinationArn = properties.DestinationConfig?.OnFailure?.Destination;
        if (destinationArn && !access.isAllowed(target.properties.Role, 'sqs:SendMessage', destinationArn)) {
          throw new Error(
            `${logicalId}: ${target.properties.Role} may not call SendMessage on ${destinationArn}`,
          );
        }
        const configuration = {
          maximumRetryAttempts: properties.MaximumRetryAttempts ?? DEFAULT_CONFIGURATION.maximumRetryAttempts,
          maximumEventAgeInSeconds:
            properties.MaximumEventAgeInSeconds ?? DEFAULT_CONFIGURATION.maximumEventAgeInSeconds,
          ...(destinationArn && { onFailure: queues.get(destinationArn) }),
        };
        return [target.attributes.Arn, configuration];
      }),
    );
  }

  /** Resolves once the event has been processed or given up, at the latest when the invoker stops. */
  async invoke(functionArn: string, event: unknown): Promise<void> {
    const configuration = this.#configurations.get(functionArn) ?? DEFAULT_CONFIGURATION;
    const requestId = randomUUID();
    const acceptedAt = Date.now();
    for (let attempt = 1; ; attempt += 1) {
      const result = await this.#invoke(functionArn, event, requestId);
      if (!result.functionError || this.#stopping.signal.aborted) return;

      const delayInSeconds = this.#retryDelaysInSeconds[attempt - 1];
      const giveUp = (condition: string) => {
        configuration.onFailure?.send(
          describeFailure({ condition, requestId, functionArn, attempt, event, result }),
        );
        this.#metrics.put({
          namespace: 'AWS/Lambda',
          name: 'AsyncEventsDropped',
          dimensions: { FunctionName: this.#functionNames.get(functionArn) ?? functionArn },
          value: 1,
          unit: 'Count',
          at: Date.now(),
        });
      };
      if (delayInSeconds === undefined || attempt > configuration.maximumRetryAttempts) {
        giveUp('RetriesExhausted');
        return;
      }
      const ageAtRetryInSeconds = (Date.now() - acceptedAt) / 1000 + delayInSeconds;
      if (ageAtRetryInSeconds > configuration.maximumEventAgeInSeconds) {
        giveUp('EventAgeExceeded');
        return;
      }
      await sleep(delayInSeconds * 1000, undefined, this.#stopping).catch(() => undefined);
      if (this.#stopping.signal.aborted) return;
    }
  }

  /** Drops the events that wait for a retry. */
  stop(): void {
    this.#stopping.abort();
  }
}

interface Failure {
  readonly condition: string;
  readonly requestId: string;
  readonly functionArn: string;
  readonly attempt: number;
  readonly event: unknown;
  readonly result: InvocationResult;
}

/** @see https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html */
function describeFailure({ condition, requestId, functionArn, attempt, event, result }: Failure): string {
  return JSON.stringify({
    version: '1.0',
    timestamp: new Date().toISOString(),
    requestContext: {
      requestId,
      functionArn: `${functionArn}:$LATEST`,
      condition,
      approximateInvokeCount: attempt,
    },
    requestPayload: event,
    responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: result.functionError },
    responsePayload: JSON.parse(result.payload),
  });
}

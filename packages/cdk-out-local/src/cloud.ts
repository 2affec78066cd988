import { AccessControl } from './access.ts';
import { AsynchronousInvoker } from './asynchronous-invoker.ts';
import { CloudWatch } from './cloudwatch/cloud-watch.ts';
import { CredentialIssuer } from './credentials.ts';
import { EventBridge } from './event-bridge.ts';
import { EventSourceMappings } from './event-source-mappings.ts';
import { HttpApi } from './http-api/http-api.ts';
import type { OnLog } from './invocation.ts';
import { LambdaService } from './lambda-service.ts';
import { Queues } from './queue.ts';
import { Scheduler } from './schedule.ts';
import { SecretsManager } from './secrets-manager.ts';
import { SqsEndpoint } from './sqs-endpoint.ts';
import { loadTemplate, type StackTemplate } from './template.ts';

export interface CloudOptions {
  /** The output directory of `cdk synth`. */
  readonly cdkOutDirectory: string;
  /** Environment variables of the functions with values that differ from the template's. */
  readonly environmentOverrides: Readonly<Record<string, string>>;
  /** How far the clocks of the functions' hosts are ahead. @default 0 */
  readonly clockOffsetSeconds?: number;
  /** Receives every line of the functions' logs and of the API's access log, and every event that a bus accepted. */
  readonly onLog: OnLog;
  /** @default - any free ports */
  readonly preferredPorts?: { readonly api?: number; readonly secretsManager?: number };
  /** Runs every schedule at this interval. @default - the template's */
  readonly scheduleEverySeconds?: number;
  /** Waiting times of asynchronous invocations before their retries. @default - Lambda's own, 60 and 120 s */
  readonly retryDelaysInSeconds?: readonly [number, number];
  /** Visibility timeout of every queue. @default - the template's */
  readonly visibilityTimeoutSeconds?: number;
}

/** A synthesized stack that runs on this machine. */
export interface Cloud {
  readonly template: StackTemplate;
  readonly apiUrl: string;
  readonly lambda: LambdaService;
  readonly secretsManager: SecretsManager;
  readonly queues: Queues;
  readonly sqs: SqsEndpoint;
  readonly eventBridge: EventBridge;
  readonly cloudWatch: CloudWatch;
  readonly scheduler: Scheduler;
  /** Lets the pages of one more origin call the API, in addition to the template's. */
  allowOrigin(origin: string): void;
  /** Invokes a function as an event source does, with Lambda's retries. */
  invokeAsync(functionArn: string, event: unknown): Promise<void>;
  /** Stops everything, down to the last process of a function. */
  stop(): Promise<void>;
}

/**
 * Runs a synthesized stack: its API, functions, schedules and secrets, which start empty unless the template generates them.
 *
 * @throws if the template contains anything that this machine does not implement
 */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const template = loadTemplate(options.cdkOutDirectory);
  const access = new AccessControl(template);
  const credentials = new CredentialIssuer();
  const queues = new Queues(template, options.visibilityTimeoutSeconds);
  const cloudWatch = new CloudWatch(template, queues);
  const { metrics } = cloudWatch;
  const onLog: OnLog = (source, line) => {
    cloudWatch.measureLogLine(source, line);
    options.onLog(source, line);
  };

  // Stops the parts that have started if a later one fails.
  await using started = new AsyncDisposableStack();
  const secretsManager = await SecretsManager.start({
    template,
    access,
    credentials,
    preferredPort: options.preferredPorts?.secretsManager ?? 0,
  });
  started.defer(() => secretsManager.stop());

  const sqs = await SqsEndpoint.start({ queues, access, credentials });
  started.defer(() => sqs.stop());

  const eventBridge = await EventBridge.start({ template, access, credentials, onLog: options.onLog });
  started.defer(() => eventBridge.stop());

  const lambda = new LambdaService({
    template,
    access,
    credentials,
    serviceEndpoints: {
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsManager.url,
      AWS_ENDPOINT_URL_SQS: sqs.url,
      AWS_ENDPOINT_URL_EVENTBRIDGE: eventBridge.url,
    },
    environmentOverrides: options.environmentOverrides,
    ...(options.clockOffsetSeconds !== undefined && { clockOffsetSeconds: options.clockOffsetSeconds }),
    metrics,
    onLog,
  });
  started.defer(() => lambda.stop());

  const { retryDelaysInSeconds, scheduleEverySeconds } = options;
  const asynchronous = new AsynchronousInvoker({
    template,
    access,
    queues,
    metrics,
    invoke: (functionArn, event, requestId) => lambda.invoke(functionArn, event, requestId),
    ...(retryDelaysInSeconds && { retryDelaysInSeconds }),
  });
  started.defer(() => asynchronous.stop());

  const eventSourceMappings = new EventSourceMappings({
    template,
    access,
    queues,
    invoke: (functionArn, event) => lambda.invoke(functionArn, event),
  });
  started.defer(() => eventSourceMappings.stop());

  const invokeAsync = (functionArn: string, event: unknown) => asynchronous.invoke(functionArn, event);
  const api = await HttpApi.start({
    template,
    invoke: (functionArn, event) => lambda.invoke(functionArn, event),
    metrics,
    onLog,
    preferredPort: options.preferredPorts?.api ?? 0,
  });
  started.defer(() => api.stop());

  const scheduler = new Scheduler({
    template,
    access,
    queues,
    invokeAsync,
    ...(scheduleEverySeconds !== undefined && { everySeconds: scheduleEverySeconds }),
  });
  started.defer(() => scheduler.stop());

  const running = started.move();
  return {
    template,
    apiUrl: api.url,
    lambda,
    secretsManager,
    queues,
    sqs,
    eventBridge,
    cloudWatch,
    scheduler,
    allowOrigin: (origin) => api.allowOrigin(origin),
    invokeAsync,
    stop: () => running.disposeAsync(),
  };
}

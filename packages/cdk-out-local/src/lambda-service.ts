import { randomBytes, randomUUID } from 'node:crypto';
import type { AccessControl } from './access.ts';
import type { Metrics } from './cloudwatch/metrics.ts';
import type { CredentialIssuer } from './credentials.ts';
import { ExecutionEnvironment, type ExecutionEnvironmentOptions } from './execution-environment.ts';
import { type InvocationResult, type OnLog, platformError } from './invocation.ts';
import type { Resource, StackTemplate } from './template.ts';

export interface LambdaServiceOptions {
  readonly template: StackTemplate;
  readonly access: AccessControl;
  readonly credentials: CredentialIssuer;
  /** Addresses of AWS services on this machine, by the variable that the AWS SDK reads. */
  readonly serviceEndpoints: Readonly<Record<string, string>>;
  /** Environment variables with values that differ from the template's. */
  readonly environmentOverrides: Readonly<Record<string, string>>;
  /** How far the clocks of the functions' hosts are ahead. @default 0 */
  readonly clockOffsetSeconds?: number;
  readonly metrics: Metrics;
  readonly onLog: OnLog;
}

interface DeployedFunction {
  readonly name: string;
  readonly arn: string;
  readonly environmentOptions: Omit<ExecutionEnvironmentOptions, 'environment'>;
  readonly environment: Readonly<Record<string, string>>;
  /** Idle environments; the most recently used one is last. */
  readonly idle: ExecutionEnvironment[];
  /** Environments that run older code, and end after their current invocation. */
  readonly outdated: WeakSet<ExecutionEnvironment>;
  /** Set while a debugger may attach. */
  inspector?: Inspector;
}

/** A debugger attaches to one process, which runs invocations one after the other. */
interface Inspector {
  readonly port: number;
  /** Resolves when all invocations so far are over. */
  lastTurn: Promise<unknown>;
}

/** AWS's default quota; new accounts have less. */
const ACCOUNT_CONCURRENCY = 1_000;

/** Runs the template's functions: one process per concurrent invocation, reused while it is alive. */
export class LambdaService {
  readonly #functions: readonly DeployedFunction[];
  readonly #metrics: Metrics;
  readonly #environments = new Set<ExecutionEnvironment>();
  /** Limit of concurrent invocations of all functions. */
  #concurrencyLimit = ACCOUNT_CONCURRENCY;
  #running = 0;
  #isStopped = false;

  /** @throws on a role that Lambda cannot assume, and on an override for a variable that no function has */
  constructor(options: LambdaServiceOptions) {
    const functions = options.template.resourcesOfType('AWS::Lambda::Function');
    for (const variable of Object.keys(options.environmentOverrides)) {
      if (!functions.some(({ properties }) => variable in (properties.Environment?.Variables ?? {}))) {
        throw new Error(`no function of the template has the environment variable ${variable}`);
      }
    }
    this.#metrics = options.metrics;
    this.#functions = functions.map((resource) => deployFunction(resource, options));
  }

  get concurrencyLimit(): number {
    return this.#concurrencyLimit;
  }

  /**
   * Limits the concurrent invocations of all functions, as an account's quota does. Invocations above the limit are
   * throttled.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
   */
  limitConcurrency(limit: number): void {
    this.#concurrencyLimit = limit;
  }

  /**
   * Invokes a function and waits for its result. Never rejects because of the function's own failure.
   *
   * @param functionId the function's name or ARN
   * @param event any JSON value
   * @param requestId AWS keeps it over the retries of an asynchronous invocation
   * @throws if the stack has no such function
   */
  async invoke(
    functionId: string,
    event: unknown,
    requestId: string = randomUUID(),
  ): Promise<InvocationResult> {
    const target = this.#find(functionId);
    if (this.#running >= this.#concurrencyLimit) {
      this.#metrics.put({ ...metricOf(target), name: 'Throttles', value: 1, unit: 'Count', at: Date.now() });
      return platformError('TooManyRequestsException', 'Rate Exceeded.');
    }
    this.#running += 1;
    try {
      const run = () => this.#run(target, event, requestId);
      if (!target.inspector) return await run();
      const turn = target.inspector.lastTurn.then(run);
      target.inspector.lastTurn = turn.catch(() => {});
      return await turn;
    } finally {
      this.#running -= 1;
    }
  }

  /** The folder of a function's unpacked bundle. @throws if the stack has no such function */
  codeDirectoryOf(functionId: string): string {
    return this.#find(functionId).environmentOptions.taskRoot;
  }

  /** Applies changes in a function's folder: new invocations start new processes; those in progress end with the old code. */
  async redeploy(functionId: string): Promise<void> {
    const target = this.#find(functionId);
    for (const environment of this.#busyEnvironments()) target.outdated.add(environment);
    await Promise.all(target.idle.splice(0).map((environment) => environment.stop()));
    await this.#startInspected(target);
  }

  /**
   * Lets a debugger attach to a function, on 127.0.0.1. From then on the function has one process without a time limit,
   * which waits for the debugger before the first invocation.
   */
  async inspect(functionId: string, port: number): Promise<void> {
    const target = this.#find(functionId);
    target.inspector = { port, lastTurn: Promise.resolve() };
    await this.redeploy(functionId);
  }

  async #startInspected(target: DeployedFunction): Promise<void> {
    if (!target.inspector) return;
    target.inspector.lastTurn = target.inspector.lastTurn.then(async () => {
      if (target.idle.length === 0) target.idle.push(await this.#startEnvironment(target));
    });
    await target.inspector.lastTurn;
  }

  async #run(target: DeployedFunction, event: unknown, requestId: string): Promise<InvocationResult> {
    const environment = target.idle.pop() ?? (await this.#startEnvironment(target));
    const startedAt = Date.now();
    const result = await environment.invoke(requestId, JSON.stringify(event));
    if (target.outdated.has(environment)) await environment.stop();
    else if (environment.isAlive) target.idle.push(environment);
    this.#measure(target, startedAt, result);
    return result;
  }

  /** Ends idle processes, so that the next invocations are cold starts. */
  async stopIdleEnvironments(): Promise<void> {
    const idle = this.#functions.flatMap((target) => target.idle.splice(0));
    await Promise.all(idle.map((environment) => environment.stop()));
  }

  /** Kills the processes that run an invocation, as when a host fails: the invocations end as crashed. */
  async killBusyEnvironments(): Promise<void> {
    await Promise.all(this.#busyEnvironments().map((environment) => environment.stop()));
  }

  /** Kills the most recently started of these processes. */
  async killNewestBusyEnvironment(): Promise<void> {
    await this.#busyEnvironments().at(-1)?.stop();
  }

  /** Kills all processes; current and future invocations end as crashed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#environments].map((environment) => environment.stop()));
  }

  /** @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html */
  #measure(target: DeployedFunction, startedAt: number, { functionError }: InvocationResult): void {
    const metric = { ...metricOf(target), at: startedAt };
    this.#metrics.put({ ...metric, name: 'Invocations', value: 1, unit: 'Count' });
    this.#metrics.put({
      ...metric,
      name: 'Errors',
      value: functionError === undefined ? 0 : 1,
      unit: 'Count',
    });
    this.#metrics.put({ ...metric, name: 'Duration', value: Date.now() - startedAt, unit: 'Milliseconds' });
  }

  #busyEnvironments(): ExecutionEnvironment[] {
    const idle = new Set(this.#functions.flatMap((target) => target.idle));
    return [...this.#environments].filter((environment) => !idle.has(environment));
  }

  async #startEnvironment(target: DeployedFunction): Promise<ExecutionEnvironment> {
    const environment = await ExecutionEnvironment.start({
      ...target.environmentOptions,
      ...(target.inspector && { inspectorPort: target.inspector.port }),
      environment: { ...target.environment, AWS_LAMBDA_LOG_STREAM_NAME: makeLogStreamName() },
    });
    this.#environments.add(environment);
    environment.ended.then(() => {
      this.#environments.delete(environment);
      const index = target.idle.indexOf(environment);
      if (index >= 0) target.idle.splice(index, 1);
    });
    if (this.#isStopped) await environment.stop();
    return environment;
  }

  #find(functionId: string): DeployedFunction {
    const target = this.#functions.find(({ name, arn }) => name === functionId || arn === functionId);
    if (!target) throw new Error(`the stack has no function ${functionId}`);
    return target;
  }
}

function metricOf({ name }: DeployedFunction) {
  return { namespace: 'AWS/Lambda', dimensions: { FunctionName: name } };
}

function deployFunction(
  { ref: name, attributes, properties }: Resource<'AWS::Lambda::Function'>,
  {
    template,
    access,
    credentials,
    serviceEndpoints,
    environmentOverrides,
    clockOffsetSeconds = 0,
    onLog,
  }: LambdaServiceOptions,
): DeployedFunction {
  access.assertTrusts(properties.Role, 'lambda.amazonaws.com');
  const taskRoot = template.findAssetDirectory(properties.Code.S3Key);
  const ownVariables = properties.Environment?.Variables ?? {};
  const overrides = Object.entries(environmentOverrides).filter(([variable]) => variable in ownVariables);
  const { accessKeyId, secretAccessKey, sessionToken } = credentials.issue({
    functionName: name,
    roleArn: properties.Role,
  });
  const { ApplicationLogLevel, LogFormat = 'Text', LogGroup } = properties.LoggingConfig ?? {};
  return {
    name,
    arn: attributes.Arn,
    environmentOptions: {
      functionArn: attributes.Arn,
      taskRoot,
      timeoutSeconds: properties.Timeout,
      clockOffsetSeconds,
      loggingConfig: { ApplicationLogLevel, LogFormat },
      onLogLine: (line) => onLog(name, line),
    },
    // https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    environment: {
      ...ownVariables,
      ...Object.fromEntries(overrides),
      ...serviceEndpoints,
      ...(ApplicationLogLevel && { AWS_LAMBDA_LOG_LEVEL: ApplicationLogLevel }),
      _HANDLER: properties.Handler,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_DEFAULT_REGION: template.region,
      AWS_EXECUTION_ENV: `AWS_Lambda_${properties.Runtime}`,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(properties.MemorySize),
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_FORMAT: LogFormat,
      AWS_LAMBDA_LOG_GROUP_NAME: LogGroup ?? `/aws/lambda/${name}`,
      AWS_REGION: template.region,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      LAMBDA_TASK_ROOT: taskRoot,
      LANG: 'en_US.UTF-8',
      PATH: process.env['PATH'] ?? '',
      TZ: ':UTC',
    },
    idle: [],
    outdated: new WeakSet(),
  };
}

/** Each environment of a function writes to its own log stream. */
function makeLogStreamName(): string {
  const date = new Date().toISOString().slice(0, 10).replaceAll('-', '/');
  return `${date}/[$LATEST]${randomBytes(16).toString('hex')}`;
}

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Cloud } from './cloud.ts';
import type { LambdaService } from './lambda-service.ts';
import { listen } from './listen.ts';
import { type QueryValue, queryAnswer, queryError } from './query-protocol.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A call of any operation except `Invoke`. */
interface Call {
  readonly name: string;
  readonly input: Readonly<Record<string, string>>;
  /** Whether the service speaks the Query protocol instead of JSON. */
  readonly isQuery: boolean;
}

type Operation = (cloud: Cloud, input: Call['input']) => QueryValue;

class AwsError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const operations: Readonly<Record<string, Operation>> = {
  DescribeStacks({ template }, { StackName }) {
    const { stackName, region, accountId, outputs } = template;
    if (StackName !== undefined && StackName !== stackName) {
      throw new AwsError('ValidationError', `Stack with id ${StackName} does not exist`);
    }
    const stack = {
      StackId: `arn:aws:cloudformation:${region}:${accountId}:stack/${stackName}/local`,
      StackName: stackName,
      StackStatus: 'CREATE_COMPLETE',
      Outputs: Object.entries(outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue })),
    };
    return { Stacks: [stack] };
  },
  GetAccountSettings({ lambda }) {
    return { AccountLimit: { ConcurrentExecutions: lambda.concurrencyLimit } };
  },
  PutSecretValue({ template, secretsManager }, { SecretId, SecretString = '' }) {
    const { ref, name } = findSecret(template, SecretId);
    return { ARN: ref, Name: name, VersionId: secretsManager.putSecretValue(ref, SecretString) };
  },
  DescribeSecret({ template, secretsManager }, { SecretId }) {
    const { ref, name } = findSecret(template, SecretId);
    return { ARN: ref, Name: name, VersionIdsToStages: secretsManager.versionStagesOf(ref) };
  },
  /** Supports only the move back to the previous version. */
  UpdateSecretVersionStage(
    { template, secretsManager },
    { SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId },
  ) {
    const { ref, name } = findSecret(template, SecretId);
    const isStage = (versionId = '', stage: string) =>
      secretsManager.versionStagesOf(ref)[versionId]?.includes(stage) ?? false;
    if (
      VersionStage !== 'AWSCURRENT' ||
      !isStage(MoveToVersionId, 'AWSPREVIOUS') ||
      !isStage(RemoveFromVersionId, 'AWSCURRENT')
    ) {
      throw new AwsError('InvalidParameterException', 'only AWSCURRENT can be moved, to AWSPREVIOUS');
    }
    secretsManager.swapVersions(ref);
    return { ARN: ref, Name: name };
  },
  GetSchedule({ template }, { Name = '' }) {
    const schedule = template.resourcesOfType('AWS::Scheduler::Schedule').find(({ ref }) => ref === Name);
    if (!schedule) throw new AwsError('ResourceNotFoundException', `Schedule ${Name} does not exist.`);
    const { ScheduleExpression, State } = schedule.properties;
    return { Arn: schedule.attributes.Arn, Name, ScheduleExpression, State };
  },
  ListSubscriptionsByTopic({ template }, { TopicArn = '' }) {
    if (!template.resourcesOfType('AWS::SNS::Topic').some(({ ref }) => ref === TopicArn)) {
      throw new AwsError('NotFound', 'Topic does not exist');
    }
    const subscriptions = template
      .resourcesOfType('AWS::SNS::Subscription')
      .filter(({ properties }) => properties.TopicArn === TopicArn);
    return {
      Subscriptions: subscriptions.map(({ ref }) => ({ SubscriptionArn: `${TopicArn}:${ref}`, TopicArn })),
    };
  },
  DescribeEventBus({ eventBridge }, { Name = 'default' }) {
    if (!eventBridge.isBus(Name)) {
      throw new AwsError('ResourceNotFoundException', `Event bus ${Name} does not exist.`);
    }
    return { Arn: eventBridge.busArnOf(Name), Name: 'default' };
  },
};

function findSecret(template: Cloud['template'], secretId: string | undefined) {
  const secret = template
    .resourcesOfType('AWS::SecretsManager::Secret')
    .find(({ ref, name }) => ref === secretId || name === secretId);
  if (!secret) {
    throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }
  return secret;
}

/**
 * The AWS calls of operators' commands, all services at one address: the operations above, and Lambda's synchronous
 * `Invoke`. It does not authenticate callers.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
export class OperatorEndpoint {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(cloud: Cloud, preferredPort: number): Promise<OperatorEndpoint> {
    const server = createServer(async (request, response) => {
      const { status, headers, body } = await answer(request, cloud).catch(() =>
        inJson(400, { __type: 'SerializationException', message: 'the request cannot be read' }),
      );
      response.writeHead(status, { 'x-amzn-requestid': randomUUID(), ...headers }).end(body);
    });
    return new OperatorEndpoint(server, await listen(server, preferredPort));
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function answer(request: IncomingMessage, cloud: Cloud): Promise<Answer> {
  const body = await text(request);
  const path = decodeURIComponent(request.url ?? '');
  const [, functionName] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(path) ?? [];
  if (functionName !== undefined) return invoke(functionName, body, cloud.lambda);

  const { name, input, isQuery } = readCall(path, request, body);
  const perform = Object.hasOwn(operations, name) ? operations[name] : undefined;
  try {
    if (!perform) throw new AwsError('InvalidAction', `${name} is not implemented on this machine`);
    const result = perform(cloud, input);
    return isQuery ? inXml(200, queryAnswer(name, result)) : inJson(200, result);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    const { code, message } = error;
    return isQuery ? inXml(400, queryError(code, message)) : inJson(400, { __type: code, message });
  }
}

/** The Scheduler and Lambda have a path per operation; other services name it in a header or, in the Query protocol, in a form. */
function readCall(path: string, { headers }: IncomingMessage, body: string): Call {
  const [, scheduleName] = /^\/schedules\/([^/?]+)/.exec(path) ?? [];
  if (scheduleName !== undefined)
    return { name: 'GetSchedule', input: { Name: scheduleName }, isQuery: false };
  if (path.startsWith('/2016-08-19/account-settings')) {
    return { name: 'GetAccountSettings', input: {}, isQuery: false };
  }
  const target = headers['x-amz-target'];
  if (typeof target === 'string') {
    return { name: target.replace(/^.*\./, ''), input: JSON.parse(body), isQuery: false };
  }
  const input = Object.fromEntries(new URLSearchParams(body));
  return { name: input['Action'] ?? '', input, isQuery: true };
}

async function invoke(functionName: string, event: string, lambda: LambdaService): Promise<Answer> {
  try {
    const { payload, functionError } = await lambda.invoke(functionName, JSON.parse(event || '{}'));
    return {
      status: 200,
      headers: {
        'content-type': 'application/json',
        ...(functionError !== undefined && { 'x-amz-function-error': functionError }),
      },
      body: payload,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return inJson(404, { __type: 'ResourceNotFoundException', message });
  }
}

function inJson(status: number, value: QueryValue): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

function inXml(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/xml' }, body };
}

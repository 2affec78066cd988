import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { queryAnswer, queryError } from 'cdk-out-local';
import { FakeHttpServer, json, type Respond } from '../lambda/fakes/http-server.ts';
import { ACCOUNT, callOperate, runOperate } from './run-operate.ts';

const OUTPUTS = {
  SweeperFunctionName: 'the-sweeper',
  SpotifySecretArn: 'the-spotify-secret',
  SupabaseSecretArn: 'the-supabase-secret',
  ScheduleName: 'the-schedule',
  SweepsAtOnce: '3',
  AlarmTopicArn: 'arn:aws:sns:us-east-1:123456789012:the-topic',
  EventBusName: 'the-bus',
};
const STACK_ID = 'arn:aws:cloudformation:us-east-1:123456789012:stack/SpotifyAuth-dev/1';
const ROLE = 'arn:aws:sts::123456789012:assumed-role/Reader/ops';

/** AWS, which answers an operation as the test says, and denies every other one. */
let aws: FakeHttpServer;
let answers: Record<string, Respond>;

beforeAll(async () => {
  aws = await FakeHttpServer.start();
});

afterAll(() => aws.stop());

beforeEach(() => {
  aws.reset();
  answers = { DescribeStacks: describeStacks('UPDATE_COMPLETE', OUTPUTS) };
  aws.respond = (response, request) => {
    const operation = operationOf(request);
    const deny = operation === 'ListSubscriptionsByTopic' ? denyInXml : denyInJson;
    (answers[operation] ?? deny(operation))(response, request);
  };
});

function operationOf({ path, headers, body }: FakeHttpServer['requests'][number]): string {
  if (path.endsWith('/invocations')) return 'InvokeFunction';
  if (path.startsWith('/schedules/')) return 'GetSchedule';
  if (path.includes('/account-settings')) return 'GetAccountSettings';
  return String(headers['x-amz-target'] ?? new URLSearchParams(body).get('Action')).replace(/^.*\./, '');
}

function xml(status: number, body: string): Respond {
  return (response) => void response.writeHead(status, { 'content-type': 'text/xml' }).end(body);
}

function describeStacks(
  status: string,
  outputs: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Respond {
  const Outputs = Object.entries(outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue }));
  return xml(
    200,
    queryAnswer('DescribeStacks', {
      Stacks: [{ StackId: STACK_ID, StackName: 'SpotifyAuth-dev', StackStatus: status, Outputs, ...more }],
    }),
  );
}

const SERVICES: Readonly<Record<string, string>> = {
  InvokeFunction: 'lambda',
  PutSecretValue: 'secretsmanager',
  DescribeSecret: 'secretsmanager',
  GetSchedule: 'scheduler',
  GetAccountSettings: 'lambda',
  ListSubscriptionsByTopic: 'SNS',
  DescribeEventBus: 'events',
};

function denial(operation: string): string {
  return `User: ${ROLE} is not authorized to perform: ${SERVICES[operation]}:${operation} on resource: arn:aws:x because no identity-based policy allows the action`;
}

function denyInJson(operation: string): Respond {
  return json(
    403,
    { message: denial(operation) },
    { 'x-amzn-errortype': 'AccessDeniedException:http://aws' },
  );
}

function denyInXml(operation: string): Respond {
  return xml(403, queryError('AuthorizationError', denial(operation)));
}

const dev = (...args: string[]) => callOperate([...args, '--stage', 'dev'], { awsUrl: aws.url.href });

describe('one line says what to do', () => {
  test.each([
    [
      'expired credentials',
      xml(403, queryError('ExpiredToken', 'The security token included in the request is expired')),
      'the AWS credentials have expired: get new ones, for instance with "aws sso login"',
    ],
    [
      'unknown credentials',
      xml(403, queryError('InvalidClientTokenId', 'The security token included in the request is invalid.')),
      'AWS rejects these credentials: check AWS_PROFILE and the clock of this machine',
    ],
    [
      'credentials without the permission',
      xml(
        403,
        queryError(
          'AccessDenied',
          `User: ${ROLE} is not authorized to perform: cloudformation:DescribeStacks on resource: arn:aws:cloudformation:us-east-1:123456789012:stack/SpotifyAuth-dev/* because no identity-based policy allows it`,
        ),
      ),
      'access denied: these credentials need cloudformation:DescribeStacks on arn:aws:cloudformation:us-east-1:123456789012:stack/SpotifyAuth-dev/*',
    ],
    [
      'a stack without outputs',
      describeStacks('REVIEW_IN_PROGRESS', {}),
      'stack SpotifyAuth-dev has no output SweeperFunctionName: deploy the version that these commands belong to',
    ],
  ])('with %s', async (_name, answer, line) => {
    answers['DescribeStacks'] = answer;

    expect(await dev('sweep')).toEqual({ exitCode: 1, stdout: '', stderr: `${line}\n` });
  });

  test('without the permission to invoke the function', async () => {
    expect(await dev('sweep')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'access denied: these credentials need lambda:InvokeFunction on arn:aws:x\n',
    });
  });

  test('when Lambda fails: a sweep is not started twice', async () => {
    answers['InvokeFunction'] = json(500, { message: 'busy' }, { 'x-amzn-errortype': 'ServiceException' });

    expect(await dev('sweep')).toMatchObject({ exitCode: 1, stderr: 'ServiceException: busy\n' });
    expect(aws.requests.filter((request) => operationOf(request) === 'InvokeFunction')).toHaveLength(1);
  });

  test.each([
    ['to look at a secret', 'DescribeSecret'],
    ['to have its value tried', 'InvokeFunction'],
    ['to write a secret', 'PutSecretValue'],
  ])('without the permission %s', async (_name, denied) => {
    answers['DescribeSecret'] = json(200, { VersionIdsToStages: {} });
    answers['InvokeFunction'] = json(200, { answer: 'accepted', detail: 'fine', loses: null });
    delete answers[denied];
    const run = await callOperate(['fill-secret', 'spotify', '--stage', 'dev'], {
      awsUrl: aws.url.href,
      standardInput: '{"client_id": "id", "client_secret": "hush"}',
    });

    expect(run).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `access denied: these credentials need ${SERVICES[denied]}:${denied} on arn:aws:x\n`,
    });
  });

  test.each([
    ['null', null],
    ['text', 'completed'],
  ])('where the function answers with %s', async (_name, answer) => {
    answers['InvokeFunction'] = json(200, answer);

    expect(await dev('statistics')).toMatchObject({
      exitCode: 1,
      stderr: 'the answer of the sweeper is not valid: deploy the version that these commands belong to\n',
    });
  });

  test('where another version is deployed', async () => {
    answers['InvokeFunction'] = json(
      200,
      { errorType: 'UnexpectedEventError', errorMessage: 'the sweeper takes something else' },
      { 'x-amz-function-error': 'Unhandled' },
    );

    expect(await dev('statistics')).toMatchObject({
      exitCode: 1,
      stderr: 'the sweeper does not know this command: deploy the version that these commands belong to\n',
    });
  });

  test.each([
    [
      'a region',
      { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'hush' },
      'no AWS region: set AWS_REGION, or the region of the profile',
    ],
    [
      'credentials',
      { AWS_REGION: 'eu-west-1' },
      'no AWS credentials: set AWS_PROFILE, and sign in with "aws sso login" if the profile needs it (Could not load credentials from any providers)',
    ],
    [
      'a profile of that name',
      { AWS_REGION: 'eu-west-1', AWS_PROFILE: 'nobody' },
      'no AWS credentials: set AWS_PROFILE, and sign in with "aws sso login" if the profile needs it (Could not',
    ],
  ])('without %s', async (_name, environment, line) => {
    const { exitCode, stderr } = await runOperate(['sweep', '--stage', 'dev'], {
      awsUrl: aws.url.href,
      environment,
    });

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(line);
    expect(aws.requests).toEqual([]);
  });

  test('where nothing listens', async () => {
    const { exitCode, stderr } = await runOperate(['sweep', '--stage', 'dev'], {
      awsUrl: 'http://127.0.0.1:1',
      environment: { ...ACCOUNT, AWS_MAX_ATTEMPTS: '1' },
    });

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^cannot reach AWS: connect ECONNREFUSED 127\.0\.0\.1:1; check AWS_REGION .*\n$/);
  });
});

describe('doctor', () => {
  test('goes on where one thing cannot be looked at, and names what is missing', async () => {
    answers = {
      DescribeStacks: describeStacks('UPDATE_ROLLBACK_COMPLETE', OUTPUTS),
      ListSubscriptionsByTopic: xml(
        200,
        queryAnswer('ListSubscriptionsByTopic', {
          Subscriptions: [{ SubscriptionArn: 'PendingConfirmation', Endpoint: 'ops@example.com' }],
        }),
      ),
    };

    const { exitCode, stdout, stderr } = await dev('doctor');

    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' });
    expect(stdout).toBe(`2. Apply the migrations
wait  migrations       first: sweeper

5. Deploy
FAIL  stack            SpotifyAuth-dev is UPDATE_ROLLBACK_COMPLETE: see the stack's events in CloudFormation, then deploy again
                       npm run deploy -- -c stage=dev
FAIL  sweeper          access denied: these credentials need lambda:InvokeFunction on arn:aws:x
                       npm run deploy -- -c stage=dev
FAIL  schedule         access denied: these credentials need scheduler:GetSchedule on arn:aws:x
FAIL  concurrency      access denied: these credentials need lambda:GetAccountSettings on arn:aws:x
FAIL  event bus        access denied: these credentials need events:DescribeEventBus on arn:aws:x
wait  rescue key       first: sweeper

6. Fill in the secrets
wait  spotify secret   first: sweeper
wait  spotify client   first: sweeper
wait  supabase secret  first: sweeper
wait  supabase         first: sweeper
wait  user tokens      first: sweeper

7. Sweep once, and see that all is well
wait  last sweep       first: sweeper
wait  stored values    first: sweeper
FAIL  alarm topic      no subscription has been confirmed yet: open the link in the e-mail that AWS sent to the address
`);
  });

  test('of a stack whose first creation failed under termination protection says how to get rid of it', async () => {
    answers = {
      DescribeStacks: describeStacks('ROLLBACK_COMPLETE', {}, { EnableTerminationProtection: 'true' }),
    };

    const { exitCode, stdout } = await dev('doctor');

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /^FAIL {2}stack {12}SpotifyAuth-dev is ROLLBACK_COMPLETE: .*from replacing a failed stack$/m,
    );
    expect(stdout).toContain(
      'aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name SpotifyAuth-dev\n',
    );
    expect(stdout.match(/^FAIL/gm)).toHaveLength(1);
    expect(aws.requests.map(operationOf)).toEqual(['DescribeStacks']);
  });

  test.each([
    [10, 'ok  '],
    [7, 'FAIL'],
  ])(
    'with a concurrency of %i in the account says what sweeps leave for status calls',
    async (quota, state) => {
      answers['GetAccountSettings'] = json(200, {
        AccountLimit: { ConcurrentExecutions: quota, UnreservedConcurrentExecutions: quota },
      });

      const { stdout } = await dev('doctor');

      expect(stdout).toContain(
        `${state}  concurrency      the account runs ${quota} invocations at once in this region; sweeps take at most 3, which leaves ${quota - 3} for status calls`,
      );
      expect(stdout.includes('--quota-code L-B99A9384')).toBe(state === 'FAIL');
    },
  );

  test('does not ask about a bus of another account, which it could not be allowed to look at', async () => {
    const bus = 'arn:aws:events:us-east-1:210987654321:event-bus/bondhu';
    answers['DescribeStacks'] = describeStacks('UPDATE_COMPLETE', { ...OUTPUTS, EventBusName: bus });

    const { stdout } = await dev('doctor');

    expect(stdout).toContain(`ok    event bus        ${bus} belongs to another account`);
    expect(aws.requests.map(operationOf)).not.toContain('DescribeEventBus');
  });

  test.each([
    ['SECRET_NOT_FILLED_IN', 'npm run operate -- fill-secret spotify --stage dev'],
    // Nothing can be filled into a secret that is not there.
    ['SECRET_MISSING', 'npm run deploy -- -c stage=dev'],
  ])('has a command for a secret that is %s', async (code, command) => {
    const checks = [{ name: 'spotify_secret', ok: false, detail: 'what is wrong', code }];
    answers['InvokeFunction'] = json(200, { checks });

    const { stdout } = await dev('doctor');

    expect(stdout).toMatch(new RegExp(`^FAIL  spotify secret +what is wrong\\n +${command}$`, 'm'));
  });

  test('sees that the topic may not be looked at, and that the function is of another version', async () => {
    answers['InvokeFunction'] = json(200, { status: 'completed' });

    const { exitCode, stdout } = await dev('doctor');

    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^ok {4}stack {12}SpotifyAuth-dev is UPDATE_COMPLETE$/m);
    expect(stdout).toMatch(/^FAIL {2}sweeper .*the answer of the sweeper is not valid: deploy the version/m);
    expect(stdout).toMatch(/^FAIL {2}alarm topic .*need SNS:ListSubscriptionsByTopic on arn:aws:x$/m);
  });
});

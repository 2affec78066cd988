import {
  type CloudFormationClient,
  CloudFormationServiceException,
  DescribeStacksCommand,
  paginateDescribeStacks,
  type Stack,
} from '@aws-sdk/client-cloudformation';
import { type Aws, connect } from './aws.ts';
import { findLocalAws } from './local-stack.ts';
import { OperatorError } from './operator-error.ts';
import { withProgress } from './progress.ts';

const STACK_NAME_PREFIX = 'SpotifyAuth-';

/** The stage that `npm start` runs on this machine. */
const LOCAL_STAGE = 'local';

/** The stack of one stage, and its account. Everything else comes from the outputs. */
export interface Deployment {
  readonly aws: Aws;
  readonly stage: string;
  readonly stackName: string;
  readonly stackStatus: string;
  /** Whether CloudFormation refuses to delete the stack. */
  readonly isProtected: boolean;
  /** Number of the account. */
  readonly account: string;
  /** An output of the stack. @throws OperatorError if it has no such output */
  output(name: string): string;
}

/** Finds the stack of a stage. Rejects with an OperatorError if there is none. */
export async function findDeployment(stage: string): Promise<Deployment> {
  const aws = connect(stage === LOCAL_STAGE ? await findLocalAws() : undefined);
  const stackName = STACK_NAME_PREFIX + stage;
  const stack = await withProgress(
    `looking for stack ${stackName}`,
    describeStack(aws.cloudFormation, stackName),
  );
  return {
    aws,
    stage,
    stackName,
    stackStatus: stack.StackStatus ?? 'unknown',
    isProtected: stack.EnableTerminationProtection ?? false,
    account: accountOf(stack),
    output(name) {
      const value = stack.Outputs?.find(({ OutputKey }) => OutputKey === name)?.OutputValue;
      if (value === undefined) {
        throw new OperatorError(
          `stack ${stackName} has no output ${name}: deploy the version that these commands belong to`,
        );
      }
      return value;
    },
  };
}

async function describeStack(client: CloudFormationClient, stackName: string): Promise<Stack> {
  try {
    const { Stacks: [stack] = [] } = await client.send(new DescribeStacksCommand({ StackName: stackName }));
    if (stack !== undefined) return stack;
  } catch (error) {
    if (!isUnknownStack(error)) throw error;
  }
  throw new OperatorError(await explainUnknownStack(client, stackName));
}

/** `arn:aws:cloudformation:<region>:<account>:stack/...` */
function accountOf({ StackId = '' }: Stack): string {
  return StackId.split(':')[4] ?? '';
}

/** CloudFormation has no error code for this case. */
function isUnknownStack(error: unknown): boolean {
  return (
    error instanceof CloudFormationServiceException &&
    error.name === 'ValidationError' &&
    error.message.endsWith('does not exist')
  );
}

/** Describes which stacks are deployed instead, as far as these credentials can see them. */
async function explainUnknownStack(client: CloudFormationClient, stackName: string): Promise<string> {
  const region = await client.config.region();
  const stacks: Stack[] = [];
  try {
    for await (const page of paginateDescribeStacks({ client }, {})) stacks.push(...(page.Stacks ?? []));
  } catch {
    return `no stack ${stackName} in region ${region}: check --stage, AWS_REGION and AWS_PROFILE`;
  }
  const [first] = stacks;
  const place = first === undefined ? `region ${region}` : `region ${region} of account ${accountOf(first)}`;
  const deployed = stacks
    .map(({ StackName = '' }) => StackName)
    .filter((name) => name.startsWith(STACK_NAME_PREFIX))
    .sort();
  return deployed.length === 0
    ? `no stack ${stackName} in ${place}, and none of another stage: check AWS_REGION and AWS_PROFILE, or deploy it with "npm run deploy -- -c stage=${stackName.slice(STACK_NAME_PREFIX.length)}"`
    : `no stack ${stackName} in ${place}, which has ${deployed.join(', ')}: check --stage, AWS_REGION and AWS_PROFILE`;
}

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { operate } from '../../operator/operate.ts';

const projectRoot = join(import.meta.dirname, '../..');

export interface OperateRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface OperateOptions {
  /** Address that stands for all of AWS. */
  readonly awsUrl?: string;
  /** Beside those that name an account and a region. */
  readonly environment?: Readonly<Record<string, string>>;
  /** @default '' */
  readonly standardInput?: string;
}

/** An account and a region, as an operator's environment names them. */
export const ACCOUNT = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'AKIAOPERATOR',
  AWS_SECRET_ACCESS_KEY: 'a secret access key',
};

/** Starts an operator's command as its npm script does, in an environment that knows of no AWS but what is given. */
export function startOperate(
  args: readonly string[],
  { standardInput = '', ...aws }: OperateOptions = {},
): ChildProcessWithoutNullStreams {
  const script = ['--require', './local/require-node-24.cjs', 'operator/operate.ts'];
  const child = spawn(process.execPath, [...script, ...args], {
    cwd: projectRoot,
    env: { PATH: process.env['PATH'] ?? '', ...variablesFor(aws) },
  });
  child.stdin.on('error', ignoreClosedPipe).end(standardInput);
  return child;
}

/** Runs an operator's command to its end. */
export async function runOperate(args: readonly string[], options: OperateOptions = {}): Promise<OperateRun> {
  const child = startOperate(args, options);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exitCode, stdout, stderr };
}

/** As `runOperate`, in this process, which is much faster. */
export async function callOperate(
  args: readonly string[],
  { standardInput = '', ...aws }: OperateOptions = {},
): Promise<OperateRun> {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, variablesFor(aws));
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const streams = { stdin: Readable.from([standardInput]), stdout, stderr };
  // jest gives each test file a process object of its own. Commands also write to its streams.
  for (const [name, value] of Object.entries(streams)) {
    Object.defineProperty(process, name, { value, configurable: true });
  }
  const exitCode = await operate(args, process);
  return { exitCode, stdout: await text(stdout.end()), stderr: await text(stderr.end()) };
}

function variablesFor({ awsUrl, environment = ACCOUNT }: OperateOptions): Record<string, string> {
  return {
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...(awsUrl !== undefined && { AWS_ENDPOINT_URL: awsUrl }),
    ...environment,
  };
}

/** A command that refuses its command line does not read its input. */
function ignoreClosedPipe(): void {}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Command, CommandLine, CommandResult } from './command.ts';
import { findDeployment } from './deployment.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { explainError } from './explain-error.ts';
import { describeFields } from './fields.ts';
import { fillSecret } from './fill-secret.ts';
import { UsageError } from './operator-error.ts';
import { refresh } from './refresh.ts';
import { restore } from './restore.ts';
import { show } from './show.ts';
import { statistics } from './statistics.ts';
import { sweep } from './sweep.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  doctor,
  statistics,
  explain,
  show,
  refresh,
  sweep,
  restore,
  'fill-secret': fillSecret,
};

const COMMON_OPTIONS = `  --stage <stage>   the stack SpotifyAuth-<stage>, in the account and region of AWS_PROFILE and AWS_REGION;
                    "local" is the stack that "npm start" runs on this machine
  --json            prints JSON, for programs`;

const USAGE = `Usage: npm run operate -- <command> --stage <stage>

${Object.entries(COMMANDS)
  .map(([name, { synopsis, summary }]) => `  ${`${name} ${synopsis}`.padEnd(30)}${summary}`)
  .join('\n')}

${COMMON_OPTIONS}

help <command>, or --help after a command, explains it and the fields of its JSON. --version prints the version of these commands.

Exit code 0: success. 1: failure, with the reason on standard error; doctor: a check failed. 2: the command line is wrong.`;

/** Where a command writes to. */
interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** Runs the command line. Where that fails, writes one line that says why. @returns the exit code */
export async function operate(args: readonly string[], { stdout, stderr }: Terminal): Promise<number> {
  try {
    return await main(args, stdout);
  } catch (error) {
    stderr.write(`${explainError(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function main([name, ...rest]: readonly string[], stdout: NodeJS.WritableStream): Promise<number> {
  const print = (text: string): 0 => {
    stdout.write(`${text}\n`);
    return 0;
  };
  if (name === '--version') return print(readVersion());
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) return print(USAGE);
  if (name === 'help') return print(describeCommand(rest[0], findCommand(rest[0])));
  const command = findCommand(name);
  const { values, positionals } = readCommandLine(name, command, rest);
  if (values['help'] === true) return print(describeCommand(name, command));
  const write = (result: CommandResult) => print(formatResult(result, values['json'] === true));
  const run = command.parse({ values, positionals });
  const results = run(await findDeployment(parseStage(values['stage'])));
  if (Symbol.asyncIterator in results) {
    for await (const result of results) write(result);
    return 0;
  }
  const result = await results;
  write(result);
  return result.exitCode;
}

function findCommand(name: string | undefined): Command {
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const problem = name === undefined ? 'no command' : `unknown command "${name}"`;
    throw new UsageError(`${problem}: use one of ${Object.keys(COMMANDS).join(', ')}, or help`);
  }
  return command;
}

function describeCommand(
  name: string | undefined,
  { synopsis, summary, description, fields }: Command,
): string {
  return `Usage: npm run operate -- ${`${name} ${synopsis}`.trim()} --stage <stage>

${summary.charAt(0).toUpperCase()}${summary.slice(1)}.

${description}

${COMMON_OPTIONS}

Fields of its JSON, in this order:

${describeFields(fields)}`;
}

function readCommandLine(name: string | undefined, command: Command, args: string[]): CommandLine {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        ...command.options,
        stage: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    // The first sentence; the others are about arguments that begin with a hyphen, which do not exist here.
    const [problem] = String(Object(error).message).split(/\.\s/);
    throw new UsageError(`${problem}: see "npm run operate -- ${name} --help"`, { cause: error });
  }
}

function parseStage(stage: unknown): string {
  if (typeof stage !== 'string') {
    throw new UsageError(
      'name a stage: --stage <stage>, or --stage local for the stack that "npm start" runs',
    );
  }
  if (!/^[a-z][a-z0-9-]*$/.test(stage)) {
    throw new UsageError(`--stage must be lower-case letters, digits and hyphens, got "${stage}"`);
  }
  return stage;
}

function readVersion(): string {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')).version;
}

function formatResult({ text, data }: CommandResult, isJson: boolean): string {
  return isJson ? JSON.stringify(data, null, 2) : text;
}

if (import.meta.main) {
  // A reader such as `head` may close the pipe early: then there is nothing left to say, and nothing is wrong.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit();
    });
  }
  process.exitCode = await operate(process.argv.slice(2), process);
}

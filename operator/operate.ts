import { parseArgs } from 'node:util';
import type { Command, CommandLine } from './command.ts';
import { findDeployment } from './deployment.ts';
import { doctor } from './doctor.ts';
import { explainError } from './explain-error.ts';
import { fillSecret } from './fill-secret.ts';
import { UsageError } from './operator-error.ts';
import { refresh } from './refresh.ts';
import { restore } from './restore.ts';
import { show } from './show.ts';
import { statistics } from './statistics.ts';
import { sweep } from './sweep.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  sweep,
  refresh,
  show,
  statistics,
  restore,
  'fill-secret': fillSecret,
  doctor,
};

const STAGE_OPTION = `  --stage <stage>   the stack SpotifyAuth-<stage>, in the account and region of AWS_PROFILE and AWS_REGION;
                    "local" is the stack that "npm start" runs on this machine`;

const USAGE = `Usage: npm run operate -- <command> --stage <stage>

${Object.entries(COMMANDS)
  .map(([name, { synopsis, summary }]) => `  ${`${name} ${synopsis}`.padEnd(30)}${summary}`)
  .join('\n')}

${STAGE_OPTION}
  --help            behind a command: what it does

Exit code 0: done. 1: not done, and why on standard error; doctor: something is not in place. 2: the command line is wrong.`;

/** Does what the command line says. @returns the exit code */
async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === '--help') {
    print(USAGE);
    return 0;
  }
  const { command, values, positionals } = readCommandLine(name, rest);
  if (values['help'] === true) {
    print(`Usage: npm run operate -- ${`${name} ${command.synopsis}`.trim()} --stage <stage>

${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.

${command.description}

${STAGE_OPTION}`);
    return 0;
  }
  const run = command.parse({ values, positionals });
  const { output, exitCode } = await run(await findDeployment(parseStage(values['stage'])));
  print(output);
  return exitCode;
}

function readCommandLine(
  name: string | undefined,
  args: string[],
): CommandLine & { readonly command: Command } {
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const problem = name === undefined ? 'no command' : `unknown command "${name}"`;
    throw new UsageError(`${problem}: use one of ${Object.keys(COMMANDS).join(', ')}, or --help`);
  }
  try {
    const { positionals, values } = parseArgs({
      args,
      allowPositionals: true,
      options: { ...command.options, stage: { type: 'string' }, help: { type: 'boolean' } },
    });
    return { command, positionals, values };
  } catch (error) {
    // Its first sentence; the others are about arguments that begin with a hyphen, of which there are none.
    const [problem] = String(Object(error).message).split(/\.\s/);
    throw new UsageError(`${problem}: see "npm run operate -- ${name} --help"`, { cause: error });
  }
}

function parseStage(stage: unknown): string {
  if (typeof stage !== 'string') {
    throw new UsageError(
      'say which stage: --stage <stage>, or --stage local for the stack that "npm start" runs',
    );
  }
  if (!/^[a-z][a-z0-9-]*$/.test(stage)) {
    throw new UsageError(`--stage must be lower-case letters, digits and hyphens, got "${stage}"`);
  }
  return stage;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${explainError(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

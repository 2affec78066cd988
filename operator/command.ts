import type { ParseArgsOptionsConfig } from 'node:util';
import type { Deployment } from './deployment.ts';

/** What a command has to say in the end. */
export interface CommandResult {
  /** Text for standard output, without the last line break. */
  readonly output: string;
  readonly exitCode: 0 | 1;
}

/** What is left to do once the command line is understood. Rejects with an OperatorError, or an error of AWS's SDK. */
export type Task = (deployment: Deployment) => Promise<CommandResult>;

/** The command line behind the command's name, without the options that all commands have. */
export interface CommandLine {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
}

/** One command of `npm run operate`. */
export interface Command {
  /** What follows its name on the command line; empty where nothing does. */
  readonly synopsis: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** All else that its `--help` says. */
  readonly description: string;
  /** Options beside those that all commands have. */
  readonly options: ParseArgsOptionsConfig;
  /** @throws UsageError */
  parse(commandLine: CommandLine): Task;
}

/** A result for people and for programs such as jq. */
export function asJson(value: unknown): CommandResult {
  return { output: JSON.stringify(value, null, 2), exitCode: 0 };
}

import type { ParseArgsOptionsConfig } from 'node:util';
import type { Deployment } from './deployment.ts';
import { type Fields, inOrder, toTable } from './fields.ts';

/** What a command has to say. */
export interface CommandResult {
  /** For people, without the last line break. */
  readonly text: string;
  /** For programs, with `--json`: the same as data. */
  readonly data: object;
  readonly exitCode: 0 | 1;
}

/**
 * What is left to do once the command line is understood. Rejects with an OperatorError, or an error of AWS's SDK. What goes
 * on until somebody ends it has more than one result.
 */
export type Task = (deployment: Deployment) => Promise<CommandResult> | AsyncIterable<CommandResult>;

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
  /** What stands in its result with `--json`, in that order. */
  readonly fields: Fields;
  /** @throws UsageError */
  parse(commandLine: CommandLine): Task;
}

/** A result that is shown as a table of its fields. @param result what the sweeper returned */
export function asTable(fields: Fields, result: Readonly<Record<string, unknown>>): CommandResult {
  const data = inOrder(fields, result);
  return { text: toTable(data), data, exitCode: 0 };
}

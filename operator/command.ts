import type { ParseArgsOptionsConfig } from 'node:util';
import type { Deployment } from './deployment.ts';
import { type Fields, inOrder, toTable } from './fields.ts';

/** The result of a command. */
export interface CommandResult {
  /** For people, without the last line break. */
  readonly text: string;
  /** For programs, with `--json`: the same as data. */
  readonly data: object;
  readonly exitCode: 0 | 1;
}

/**
 * The work of a command whose arguments are parsed. Rejects with an OperatorError, or an error of the AWS SDK. A command that
 * runs until the user stops it has more than one result.
 */
export type Task = (deployment: Deployment) => Promise<CommandResult> | AsyncIterable<CommandResult>;

/** The arguments after the command's name, without the common options. */
export interface CommandLine {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
}

/** One command of `npm run operate`. */
export interface Command {
  /** The arguments after its name; empty if there are none. */
  readonly synopsis: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** The rest of its `--help`. */
  readonly description: string;
  /** Options in addition to the common ones. */
  readonly options: ParseArgsOptionsConfig;
  /** The fields of its result with `--json`, in that order. */
  readonly fields: Fields;
  /** @throws UsageError */
  parse(commandLine: CommandLine): Task;
}

/** A result shown as a table of its fields. @param result what the sweeper returned */
export function asTable(fields: Fields, result: Readonly<Record<string, unknown>>): CommandResult {
  const data = inOrder(fields, result);
  return { text: toTable(data), data, exitCode: 0 };
}

import { type ForkOptions, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** What a process can be asked: one argument and one result each, both JSON. */
// biome-ignore lint/suspicious/noExplicitAny: `never` would make every argument uncallable.
type Calls = Record<string, (argument: any) => unknown>;

/** A child process that answers questions. */
export interface Child<ItsCalls extends Calls> extends AsyncDisposable {
  /** Asks, and waits for the answer. @throws Error with the child's own error, or if it ends before it answers */
  ask<Name extends keyof ItsCalls & string>(
    name: Name,
    ...argument: Parameters<ItsCalls[Name]>
  ): Promise<Awaited<ReturnType<ItsCalls[Name]>>>;
}

type Question = { readonly name: string; readonly argument: unknown };
type Answer = { readonly result: unknown } | { readonly error: string };

/**
 * Starts a file of `processes/` in its own process, so that its CPU time and memory can be measured. Dispose of it to end
 * it. It takes one question at a time.
 */
export function startChild<ItsCalls extends Calls>(
  file: string,
  options: Pick<ForkOptions, 'env' | 'execArgv'> = {},
): Child<ItsCalls> {
  const child = fork(join(import.meta.dirname, 'processes', file), {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    ...options,
  });
  // Written and read, as a function's log is, and then dropped.
  child.stdout?.resume();
  const ended = once(child, 'exit').then(() => ({ error: `${file} ended before it answered` }));
  return {
    async ask(name, ...[argument]) {
      const answered = once(child, 'message').then(([answer]) => answer as Answer);
      child.send({ name, argument } satisfies Question);
      const answer = await Promise.race([answered, ended]);
      if ('error' in answer) throw new Error(answer.error);
      return answer.result as never;
    },
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/** Used in the child process: answers questions until the bench ends. */
export function answerQuestions(calls: Calls): void {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ name, argument }: Question) => {
    try {
      process.send?.({ result: await calls[name]?.(argument) } satisfies Answer);
    } catch (error) {
      process.send?.({ error: error instanceof Error ? `${error.stack}` : String(error) } satisfies Answer);
    }
  });
}

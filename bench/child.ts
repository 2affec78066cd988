import { type ForkOptions, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** What a process can be asked: one argument and one result each, both JSON. */
// biome-ignore lint/suspicious/noExplicitAny: `never` would make every argument uncallable.
type Calls = Record<string, (argument: any) => unknown>;

/** A process of the bench, asked from outside. */
export interface Child<ItsCalls extends Calls> extends AsyncDisposable {
  /** Asks and waits for the answer. @throws Error with the process's own error, or when it ends before answering */
  ask<Name extends keyof ItsCalls & string>(
    name: Name,
    ...argument: Parameters<ItsCalls[Name]>
  ): Promise<Awaited<ReturnType<ItsCalls[Name]>>>;
}

type Question = { readonly name: string; readonly argument: unknown };
type Answer = { readonly result: unknown } | { readonly error: string };

/**
 * Starts a file of `processes/` in a process of its own, so that its CPU time and memory are nobody else's.
 * Disposing of it ends it. One question at a time.
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

/** Within such a process: answers what it is asked, until the bench ends. */
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

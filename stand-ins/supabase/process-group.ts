import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/**
 * Runs a program to its end, in its own process group: Ctrl-C in a terminal does not reach it, and its child processes
 * end with it.
 *
 * @param signal kills the group; once the promise has rejected with its reason, none of its processes runs any more
 * @throws Error that begins with `name` and contains the program's standard error, if it failed
 */
export async function runProcessGroup(
  name: string,
  command: string,
  args: readonly string[],
  { signal, ...options }: SpawnOptions & { readonly signal?: AbortSignal | undefined },
): Promise<void> {
  signal?.throwIfAborted();
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const kill = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  signal?.addEventListener('abort', kill);
  try {
    const complaints = text(child.stderr);
    // Its output closes once the last process of the group is gone.
    const [code] = await once(child, 'close');
    signal?.throwIfAborted();
    if (code !== 0) throw new Error(`${name} failed:\n${await complaints}`);
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Temporary folders contain the id of the process that created them: `stack.ts` and `stand-ins/supabase/postgres.ts`. */
const TEMPORARY_FOLDER = /^spotify-auth-(?:cdk|postgres)-(?<pid>\d+)-/;

/**
 * Removes temporary folders of processes that were killed before they could remove them.
 *
 * @returns the names of the removed folders
 */
export async function removeAbandonedFolders(directory: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of await readdir(directory)) {
    const pid = TEMPORARY_FOLDER.exec(name)?.groups?.['pid'];
    if (pid === undefined || isRunning(Number(pid))) continue;
    // Folders of other accounts stay.
    await rm(join(directory, name), { recursive: true, force: true }).then(
      () => removed.push(name),
      () => {},
    );
  }
  return removed;
}

/** Whether the process is running, whichever account owns it. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

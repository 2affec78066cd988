import * as v from 'valibot';
import type { CommandLine } from './command.ts';
import { UsageError } from './operator-error.ts';

const UserId = v.pipe(v.string(), v.uuid(), v.toLowerCase());

/** @throws UsageError with the message where there is any argument */
export function refuseArguments({ positionals }: CommandLine, message: string): void {
  if (positionals.length > 0) throw new UsageError(message);
}

/** The command line's only argument, which is a user's id. @throws UsageError */
export function parseUserId({ positionals }: CommandLine): string {
  if (positionals.length !== 1) {
    throw new UsageError(`give one user id, got ${positionals.length === 0 ? 'none' : positionals.length}`);
  }
  const parsed = v.safeParse(UserId, positionals[0]);
  if (!parsed.success) {
    throw new UsageError(
      `a user id is a UUID such as 3fa85f64-5717-4562-b3fc-2c963f66afa6, got "${positionals[0]}"`,
    );
  }
  return parsed.output;
}

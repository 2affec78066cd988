import * as v from 'valibot';
import type { CommandLine } from './command.ts';
import { UsageError } from './operator-error.ts';

const UserId = v.pipe(v.string(), v.uuid(), v.toLowerCase());
const Email = v.pipe(v.string(), v.maxLength(254), v.email());

/** A user as given on the command line. */
export type UserArgument = { readonly userId: string } | { readonly email: string };

/** @throws UsageError with the message if there is any argument */
export function refuseArguments({ positionals }: CommandLine, message: string): void {
  if (positionals.length > 0) throw new UsageError(message);
}

/** The command line's only argument: a user's id, or the e-mail address of an account. @throws UsageError */
export function parseUser({ positionals }: CommandLine): UserArgument {
  const [text, ...others] = positionals;
  if (text === undefined || others.length > 0) {
    throw new UsageError(
      `give one user id or e-mail address, got ${text === undefined ? 'none' : positionals.length}`,
    );
  }
  const userId = v.safeParse(UserId, text);
  if (userId.success) return { userId: userId.output };
  const email = v.safeParse(Email, text);
  if (email.success) return { email: email.output };
  throw new UsageError(
    `a user is a UUID such as 3fa85f64-5717-4562-b3fc-2c963f66afa6, or the e-mail address of an account, got "${text}"`,
  );
}

import { OperationalError } from './operational-error.ts';

/**
 * Why a secret has no usable value. The message says what to do and never contains the value.
 *
 * - `SECRET_NOT_FILLED_IN`: the stack created it, and it has no value yet.
 * - `SECRET_MISSING`: there is no such secret: its ARN in the configuration is wrong, or it was deleted.
 * - `SECRET_MALFORMED`: its value is not the expected JSON.
 * - `SECRET_UNREADABLE`: Secrets Manager did not answer, or rejected the call.
 */
export type SecretErrorCode =
  | 'SECRET_NOT_FILLED_IN'
  | 'SECRET_MISSING'
  | 'SECRET_MALFORMED'
  | 'SECRET_UNREADABLE';

/** A secret that could not be used. */
export class SecretError extends OperationalError<SecretErrorCode> {
  override readonly name = 'SecretError';
}

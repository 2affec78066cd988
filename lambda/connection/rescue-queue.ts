import { OperationalError } from './operational-error.ts';
import type { RefreshOutcome, SettledLease } from './refresh-outcome.ts';

/** An outcome that brought another refresh token: it may be the only living one. */
export type Rotation = SettledLease & {
  readonly outcome: Extract<RefreshOutcome, { kind: 'refreshed' | 'refresh_token_only' }> & {
    readonly refreshToken: string;
  };
};

/** Whether losing this outcome could cost the user the connection. */
export function isRotation(settled: SettledLease): settled is Rotation {
  const { lease, outcome } = settled;
  return (
    (outcome.kind === 'refreshed' || outcome.kind === 'refresh_token_only') &&
    outcome.refreshToken !== undefined &&
    outcome.refreshToken !== lease.refreshToken
  );
}

/** A message that was received; it comes again later unless it is removed. */
export type RescueMessage = {
  readonly messageId: string;
  /** By this it is removed. */
  readonly receipt: string;
  /** Null: it cannot be opened. */
  readonly rotation: Rotation | null;
};

/**
 * Keeps rotated refresh tokens, sealed, while the database does not take them. A message may come more than once.
 * Every method rejects with a {@link RescueQueueError} when the queue is out of reach, and, unless it only removes,
 * with a SecretError when the key cannot be read.
 */
export interface RescueQueue {
  put(rotation: Rotation, timeoutMilliseconds: number): Promise<void>;
  /** Some of the messages that nobody else is working on; none when there are none. */
  receive(): Promise<readonly RescueMessage[]>;
  remove(message: RescueMessage): Promise<void>;
}

/** The rescue queue did not answer, or refused. */
export class RescueQueueError extends OperationalError {
  override readonly name = 'RescueQueueError';

  constructor(message: string, options?: ErrorOptions) {
    super('RESCUE_QUEUE_UNAVAILABLE', message, options);
  }
}

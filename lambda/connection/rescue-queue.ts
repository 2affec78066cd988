import { OperationalError } from './operational-error.ts';
import type { RefreshOutcome, SettledLease } from './refresh-outcome.ts';

/** An outcome with a new refresh token, which may be the only valid one. */
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

/** A received message; it returns later unless it is removed. */
export type RescueMessage = {
  readonly messageId: string;
  /** Identifies the message when it is removed. */
  readonly receipt: string;
  /** Null: it cannot be decrypted. */
  readonly rotation: Rotation | null;
};

/**
 * Keeps rotated refresh tokens, encrypted, while the database cannot store them. A message may arrive more than once.
 * Every method rejects with a {@link RescueQueueError} if the queue is unreachable, and, unless it only removes,
 * with a SecretError if the key cannot be read.
 */
export interface RescueQueue {
  put(rotation: Rotation, timeoutMilliseconds: number): Promise<void>;
  /** Some of the messages that are not being processed; empty if there are none. */
  receive(): Promise<readonly RescueMessage[]>;
  remove(message: RescueMessage): Promise<void>;
}

/** The rescue queue did not answer, or rejected a call. */
export class RescueQueueError extends OperationalError {
  override readonly name = 'RescueQueueError';

  constructor(message: string, options?: ErrorOptions) {
    super('RESCUE_QUEUE_UNAVAILABLE', message, options);
  }
}

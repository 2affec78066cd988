import { OperationalError } from './operational-error.ts';

/** Wakes one more invocation for a sweep. Carries no work, only the identity of the sweep: the database knows what is due. */
export type WakeUp = {
  /** The scheduled time of the sweep; null: it was started manually. */
  readonly scheduledAt: string | null;
  /** Seconds since the sweep began. */
  readonly ageSeconds: number;
  /** How many invocations of this sweep have handed over because they ran out of time. */
  readonly link: number;
};

/** The queue whose messages invoke the sweeper again. */
export interface SweepQueue {
  /** Sends every wake-up; rejects with a {@link SweepQueueError}, after which some may have been sent. */
  send(wakeUps: readonly WakeUp[]): Promise<void>;
}

/** The sweep queue did not answer, or rejected a call. */
export class SweepQueueError extends OperationalError {
  override readonly name = 'SweepQueueError';

  constructor(message: string, options?: ErrorOptions) {
    super('SWEEP_QUEUE_UNAVAILABLE', message, options);
  }
}

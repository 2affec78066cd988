import { OperationalError } from './operational-error.ts';

/** Wakes one more invocation for a sweep. Carries no work, only which sweep it is: what is due says the database. */
export type WakeUp = {
  /** When the schedule meant the sweep to run; null: it was started by hand. */
  readonly scheduledAt: string | null;
  /** Seconds since the sweep began. */
  readonly ageSeconds: number;
  /** How often invocations of this sweep that ran out of time have handed over, up to this one. */
  readonly link: number;
};

/** The queue whose messages invoke the sweeper again. */
export interface SweepQueue {
  /** Sends every wake-up; rejects with a {@link SweepQueueError}, after which some may have been sent. */
  send(wakeUps: readonly WakeUp[]): Promise<void>;
}

/** The sweep queue did not answer, or refused. */
export class SweepQueueError extends OperationalError {
  override readonly name = 'SweepQueueError';

  constructor(message: string, options?: ErrorOptions) {
    super('SWEEP_QUEUE_UNAVAILABLE', message, options);
  }
}

import type { ConnectionAdministration } from '../connection/connection-administration.ts';
import type { Log } from '../connection/log.ts';

/** The database undoes so many well within the time that it gives a statement. */
const BATCH_SIZE = 5_000;

/**
 * Undoes all marks made since a moment, a batch at a time, so that a false revocation of hundreds of thousands can be
 * undone too. What has been undone stays so when the invocation ends early; asked again, it goes on.
 *
 * @param since ISO 8601
 * @returns how many connections are due again; rejects with a StoreError or SecretError
 */
export async function restoreConnections(
  since: string,
  {
    administration,
    log,
  }: { readonly administration: Pick<ConnectionAdministration, 'restore'>; readonly log: Log },
): Promise<{ readonly restored: number }> {
  let restored = 0;
  let batch: number;
  do {
    batch = await administration.restore(since, BATCH_SIZE);
    restored += batch;
    log.warn('connections restored', { since, restored });
  } while (batch === BATCH_SIZE);
  return { restored };
}

import type { ConnectionAdministration } from '../connection/connection-administration.ts';
import type { Log } from '../connection/log.ts';

/** The database can undo this many well within its statement timeout. */
const BATCH_SIZE = 5_000;

/**
 * Undoes all marks made since a time, in batches, so that it can undo a false revocation of hundreds of thousands.
 * If the invocation ends early, undone marks stay undone, and another call continues.
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

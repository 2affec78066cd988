import { isPostgresShared, startSharedPostgres } from './shared-postgres.ts';

/** jest's global setup for tests with a database: one server for all of them, also for those that run within a test. */
export default async function startPostgresOnce() {
  if (isPostgresShared()) return;
  globalThis.sharedPostgres ??= await startSharedPostgres();
}

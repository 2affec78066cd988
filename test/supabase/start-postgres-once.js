import { startSharedPostgres } from './shared-postgres.ts';

/** jest's global setup for tests with a database: one server for all of them. */
export default async function startPostgresOnce() {
  globalThis.sharedPostgres ??= await startSharedPostgres();
}

import startPostgresOnce from '../supabase/start-postgres-once.js';
import synthesizeOnce from './synthesize-once.js';

/** jest's global setup for tests of the running stack: synthesizes it and starts a database server, once for all of them. */
export default async function prepareStacks() {
  await Promise.all([synthesizeOnce(), startPostgresOnce()]);
}

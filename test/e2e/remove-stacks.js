import stopPostgres from '../supabase/stop-postgres.js';
import removeSynthesized from './remove-synthesized.js';

/** jest's global teardown for tests of the running stack: ends and removes what the setup has made. */
export default async function removeStacks() {
  await Promise.all([removeSynthesized(), stopPostgres()]);
}

import type { BondhuDatabase } from '../../stand-ins/supabase/bondhu-database.ts';
import { type Supabase, startSupabase } from '../../stand-ins/supabase/server.ts';
import { answerQuestions } from '../child.ts';

let supabase: Supabase | undefined;
let counted = 0;

function started(): Supabase {
  if (supabase === undefined) throw new Error('Supabase has not been started');
  return supabase;
}

/** Supabase's REST interface, which calls database functions as PostgREST does. */
const calls = {
  async start(database: BondhuDatabase) {
    supabase = await startSupabase({ database });
    const { url, secretKey } = supabase;
    return { url, secretKey };
  },
  /** How many requests there were since the last call, each a round trip to the database. */
  countRequests() {
    const { length } = started().requests;
    const since = length - counted;
    counted = length;
    return since;
  },
  signUserToken: (userId: string) => started().signUserToken({ sub: userId }),
};

export type SupabaseCalls = typeof calls;

answerQuestions(calls);

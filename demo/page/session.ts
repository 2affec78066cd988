import type { SupabaseClient } from '@supabase/supabase-js';
import { useEffect, useState } from 'react';

/** Where supabase-js keeps the session. */
export const SESSION_KEY = 'bondhu-session';

export interface User {
  readonly id: string;
  readonly email: string;
}

/**
 * Who is signed in. Known in the very first render, from what supabase-js has stored: it would wait for the network
 * where the session has to be refreshed first.
 */
export function useUser(supabase: SupabaseClient): User | null {
  const [user, setUser] = useState(readStoredUser);
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((event, session) => {
      // A session that is stored only has expired, and Supabase cannot be reached to refresh it. Unless the user has
      // signed out in another tab, and the storage does not show that here yet.
      const stored = event === 'SIGNED_OUT' ? null : readStoredUser();
      const next = session ? { id: session.user.id, email: session.user.email ?? '' } : stored;
      setUser((previous) => (previous?.id === next?.id ? previous : next));
    });
    return () => data.subscription.unsubscribe();
  }, [supabase]);
  return user;
}

function readStoredUser(): User | null {
  try {
    const session: unknown = JSON.parse(localStorage.getItem(SESSION_KEY) ?? 'null');
    const { id, email } = Object(Object(session).user);
    return typeof id === 'string' ? { id, email: String(email) } : null;
  } catch {
    // Storage is forbidden, or holds something else.
    return null;
  }
}

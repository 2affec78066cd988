/**
 * The faults of requests to Supabase.
 *
 * | kind | with | the request | what the client sees |
 * | --- | --- | --- | --- |
 * | `refused` | | is not done | no server listens at the address; affects every request |
 * | `reset` | | is not done | the connection closes without an answer |
 * | `reset-after` | | is done | the connection closes without an answer |
 * | `hang` | | is not done | no answer |
 * | `status` | `status` | is not done | a gateway's HTML page |
 * | `sql-error` | `code`: a SQLSTATE, such as 57014 (statement timeout), 25006 (read-only), 40P01 (deadlock) | is not done | PostgREST's answer to it |
 */
export type SupabaseFault = (
  | { readonly kind: 'refused' | 'reset' | 'reset-after' | 'hang' }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'sql-error'; readonly code: string }
) & {
  /** Only affects calls of this database function. @default - every request */
  readonly of?: string;
  /** How many requests it affects. @default - all, until it is replaced */
  readonly times?: number;
};

/** Decides for each request whether the current fault affects it. */
export class SupabaseFaultPlan {
  #fault: SupabaseFault | undefined;
  #remaining = 0;

  /** @param fault undefined ends the fault */
  set(fault: SupabaseFault | undefined): void {
    this.#fault = fault;
    this.#remaining = fault?.times ?? Number.POSITIVE_INFINITY;
  }

  take(path: string): SupabaseFault | undefined {
    const isMeant = this.#fault?.of === undefined || path === `/rest/v1/rpc/${this.#fault.of}`;
    if (!this.#fault || this.#remaining <= 0 || !isMeant) return undefined;
    this.#remaining -= 1;
    return this.#fault;
  }
}

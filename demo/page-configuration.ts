/** What the server tells the page. This file goes into the page too: it imports nothing. */
export interface PageConfiguration {
  readonly apiUrl: string;
  readonly supabaseUrl: string;
  readonly supabasePublishableKey: string;
  readonly sampleUsers: readonly SampleSignIn[];
}

/** A sample user; the page signs in with one click. */
export interface SampleSignIn {
  readonly email: string;
  readonly password: string;
  readonly state: string;
}

/** Why a request to the page's server failed: the member `code` of its answer. The page has a sentence for each. */
export type FailureCode = 'signed_out' | 'supabase_unavailable' | 'invalid_request' | 'unexpected';

-- How policies and functions learn who makes a request: from the claims that PostgREST sets. Local use and tests only.
-- Applied by supabase_auth_admin, and again after `@supabase/lite` has put its own in their place, which read settings
-- that PostgREST does not make.

create or replace function auth.jwt() returns jsonb
  language sql stable
  as $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$;

create or replace function auth.uid() returns uuid
  language sql stable
  as $$ select (auth.jwt() ->> 'sub')::uuid $$;

create or replace function auth.role() returns text
  language sql stable
  as $$ select auth.jwt() ->> 'role' $$;

create or replace function auth.email() returns text
  language sql stable
  as $$ select auth.jwt() ->> 'email' $$;

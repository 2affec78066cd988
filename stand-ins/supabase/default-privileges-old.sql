-- Supabase's default privileges as they were until 2026: whatever `postgres` creates in public is open to the
-- three API roles, functions included. Local use and tests only. Applied by the superuser.

alter default privileges for role postgres in schema public
  grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to anon, authenticated, service_role;

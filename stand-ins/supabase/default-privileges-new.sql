-- Supabase's default privileges since 2026 (new projects from 30 May, all from 30 October): the API roles,
-- service_role included, can neither read nor write a new table, nor are granted new functions. What the
-- platform does not take away stays: three harmless privileges on tables, and PostgreSQL's own default that
-- PUBLIC may execute every new function. Local use and tests only. Applied by the superuser.

alter default privileges for role postgres in schema public
  grant truncate, references, trigger on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant update on sequences to anon, authenticated, service_role;

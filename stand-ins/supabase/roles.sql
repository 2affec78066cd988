-- The roles of a Supabase project, as far as this project meets them. Local use and tests only.
--
-- Applied once to a new cluster (roles belong to the cluster, not to a database), by its superuser `supabase_admin`, or
-- to a server that is there already, where roles of these names are left as they are. As on the hosted platform,
-- `postgres` is not a superuser, unless it was there: it owns Bondhu's objects and applies the migrations. No role has
-- a password: our own cluster listens on 127.0.0.1 only and trusts it.

do $$ begin create role anon nologin noinherit; exception when duplicate_object then null; end $$;
do $$ begin create role authenticated nologin noinherit; exception when duplicate_object then null; end $$;
do $$ begin create role service_role nologin noinherit bypassrls; exception when duplicate_object then null; end $$;

-- PostgREST logs in as this role and takes on one of the three above for each request.
do $$ begin create role authenticator login noinherit; exception when duplicate_object then null; end $$;
grant anon, authenticated, service_role to authenticator;

-- Supabase's defaults. service_role has none of its own and so runs under its login role's eight seconds.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

do $$ begin create role postgres login createdb createrole replication bypassrls; exception when duplicate_object then null; end $$;
grant anon, authenticated, service_role, authenticator to postgres;

-- GoTrue (Supabase Auth) logs in as this role and owns the schema auth.
do $$ begin create role supabase_auth_admin login noinherit; exception when duplicate_object then null; end $$;
alter role supabase_auth_admin set search_path = 'auth';

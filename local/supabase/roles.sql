-- The roles of a Supabase project, as far as this project meets them. Local use and tests only.
--
-- Applied once to a new cluster (roles belong to the cluster, not to a database), by its superuser
-- `supabase_admin`. As on the hosted platform, `postgres` is not a superuser: it owns Bondhu's objects and
-- applies the migrations. No role has a password: the cluster listens on 127.0.0.1 only and trusts it.

create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;

-- PostgREST logs in as this role and takes on one of the three above for each request.
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

-- Supabase's defaults. service_role has none of its own and so runs under its login role's eight seconds.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

create role postgres login createdb createrole replication bypassrls;
grant anon, authenticated, service_role, authenticator to postgres;

-- GoTrue (Supabase Auth) logs in as this role and owns the schema auth.
create role supabase_auth_admin login noinherit;
alter role supabase_auth_admin set search_path = 'auth';

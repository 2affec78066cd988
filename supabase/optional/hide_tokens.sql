-- Optional. Bondhu's row policy allows signed-in users to read and write the Spotify tokens in their own
-- profile; this file ends that. Row level security hides rows, not columns, so the privileges on the table
-- become privileges on each column except the two tokens. Keys that bypass row level security (service_role)
-- keep all their privileges.
--
-- Not among the migrations, because it breaks callers that act as a signed-in user and
--   * select * from profiles, or let an insert or update return the row: 42501, they have to name columns;
--   * write a token, even null: disconnecting must go through a backend with the secret key.
-- Users cannot access a column that is added later until its own migration grants it:
--   grant select (column_name), insert (column_name), update (column_name)
--     on public.profiles to authenticated;
-- show_tokens.sql undoes all of it.

do $$
declare
  hidden constant text[] := array['spotify_access_token', 'spotify_refresh_token'];
  grantee text;
  privilege text;
  others text;
begin
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into others from pg_attribute a
    where a.attrelid = 'public.profiles'::regclass and a.attnum > 0 and not a.attisdropped
      and a.attname <> all (hidden);

  foreach grantee in array array['anon', 'authenticated'] loop
    foreach privilege in array array['select', 'insert', 'update'] loop
      if has_table_privilege(grantee, 'public.profiles', privilege) then
        execute format('revoke %s on public.profiles from %I', privilege, grantee);
        execute format('grant %s (%s) on public.profiles to %I', privilege, others, grantee);
      end if;
      -- Granted to public, by another role, or column by column: this file cannot revoke that.
      if has_column_privilege(grantee, 'public.profiles', hidden[1], privilege)
        or has_column_privilege(grantee, 'public.profiles', hidden[2], privilege) then
        raise exception
          '% may still % the tokens in public.profiles: see \dp public.profiles for who granted it',
          grantee, privilege;
      end if;
    end loop;
  end loop;
end;
$$;

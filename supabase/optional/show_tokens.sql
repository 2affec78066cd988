-- Undoes hide_tokens.sql: a role with a privilege on columns of profiles gets it on the whole table again.

do $$
declare
  grantee text;
  privilege text;
begin
  foreach grantee in array array['anon', 'authenticated'] loop
    foreach privilege in array array['select', 'insert', 'update'] loop
      if has_column_privilege(grantee, 'public.profiles', 'id', privilege) then
        -- Revoking from the table revokes from its columns as well.
        execute format('revoke %s on public.profiles from %I', privilege, grantee);
        execute format('grant %s on public.profiles to %I', privilege, grantee);
      end if;
    end loop;
  end loop;
end;
$$;

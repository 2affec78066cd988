-- 13 of 13: Bondhu's table.
--
-- Users' writes wait for the locks on public.profiles. They are only held for a moment, because
-- everything else is in place. If another transaction holds the table for longer than two seconds, this file
-- fails without a trace: run it again. It copies no data: spotify_reconcile fills the queue
-- (docs/decisions/0003).

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

-- Takes all locks of this file at once, so that no write waits while this file waits for another lock.
lock table public.profiles in share row exclusive mode;

alter table spotify_auth.connections
  add constraint connections_profile foreign key (user_id) references public.profiles (id) on delete cascade;

-- Each refresh rewrites one wide profile; free space on the page lets most of these updates skip the indexes.
alter table public.profiles set (fillfactor = 85);

create trigger spotify_auth_profile_inserted
  after insert on public.profiles for each row
  when (new.spotify_access_token is not null or new.spotify_refresh_token is not null)
  execute function spotify_auth.on_profile_change();

-- Not for our own writes, which maintain the queue themselves. They say so in the functions' bodies, because
-- setting a custom parameter for a whole function needs a superuser.
create trigger spotify_auth_profile_updated
  after update on public.profiles for each row
  when (current_setting('spotify_auth.own_write', true) is distinct from 'on'
    and (old.spotify_access_token is distinct from new.spotify_access_token
      or old.spotify_refresh_token is distinct from new.spotify_refresh_token
      or old.spotify_token_expires_at is distinct from new.spotify_token_expires_at
      or old.spotify_connected_at is distinct from new.spotify_connected_at))
  execute function spotify_auth.on_profile_change();

-- The REST API knows the functions once it has reloaded the schema.
notify pgrst, 'reload schema';

commit;

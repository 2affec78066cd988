-- 4 of 12: leases. Nobody calls Spotify without holding one.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function spotify_auth.not_before_in() returns double precision
language sql stable set search_path = pg_catalog, pg_temp as $$
  select extract(epoch from s.not_before - now())::double precision from spotify_auth.shared_state s
  where s.not_before > now() and s.not_before <= now() + interval '1 day';
$$;
revoke all on function spotify_auth.not_before_in() from public, anon, authenticated, service_role;
comment on function spotify_auth.not_before_in is
  'Seconds for which nobody may call Spotify, a day at most. Null: anybody may. What is further away was written by '
  'a clock that was ahead, and does not count.';

create function spotify_auth.share_lease(users uuid[], until timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  shared record;
  leased_until timestamptz;
begin
  for shared in
    select h.token_hash, array_agg(h.user_id order by h.user_id) as users
    from spotify_auth.token_hashes h where h.user_id = any (users) group by h.token_hash order by h.token_hash
  loop
    -- Not waited for: whoever has it is choosing among the same connections at this moment.
    if pg_try_advisory_xact_lock(shared.token_hash) then
      -- Those who were put off keep the token leased where an outside write has ended the lease: it may still be sent.
      -- One that backs off by itself, as its own failures show, keeps nobody waiting.
      select max(c.claimable_at) into leased_until
        from spotify_auth.token_hashes h join spotify_auth.connections c on c.user_id = h.user_id
        where h.token_hash = shared.token_hash
          and (c.lease_id is not null or c.due_at is not null and c.failures = 0)
          and c.claimable_at > now() and c.claimable_at <= now() + interval '1 day';
    else
      leased_until := now() + interval '1 second';
    end if;
    update spotify_auth.connections c set
      shares_token = true,
      lease_id = null,
      claimable_at = coalesce(leased_until, until),
      due_at = case when c.due_at is not null then coalesce(leased_until, until) + (
        select s.sweep_window from spotify_auth.shared_state s) end
    where c.user_id in (
      select other.user_id from spotify_auth.connections other
      where other.user_id in (
          select h.user_id from spotify_auth.token_hashes h where h.token_hash = shared.token_hash)
        and not (other.lease_id is not null and other.claimable_at > now())
        and (leased_until is not null or other.user_id <> shared.users[1])
      for no key update skip locked);
  end loop;
end;
$$;
revoke all on function spotify_auth.share_lease(uuid[], timestamptz) from public, anon, authenticated, service_role;
comment on function spotify_auth.share_lease is
  'For connections that are about to be leased until a moment and share their token with others: leaves one for each '
  'token, and puts all others with that token off until that lease lapses, those included that were about to be '
  'leased. Where somebody has a lease on the token already, it leaves none. An outside write ends the lease of its '
  'own row alone: the others stay put off. The caller has locked the rows of `users`.';

create function public.spotify_check_connection(for_user uuid, refresh_within interval, lease interval) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  shared spotify_auth.shared_state := spotify_auth.read_shared_state();
  profile record;
  connection spotify_auth.connections;
  not_before_in double precision := spotify_auth.not_before_in();
  place tid;
  is_shared boolean;
  is_leased boolean := false;
  state text;
  grant_token text;
begin
  select p.spotify_user_id, p.spotify_user_email, p.has_drifted into profile
    from spotify_auth.compared_profiles p where p.user_id = for_user;
  if not found then
    return jsonb_build_object('state', 'disconnected');
  end if;
  if profile.has_drifted and spotify_auth.follow_profiles(array[for_user]) = 0 then
    return jsonb_build_object('state', 'locked');
  end if;

  select c.* into connection from spotify_auth.connections c where c.user_id = for_user;
  if not_before_in is null and coalesce(connection.expires_at <= now() + refresh_within, true) then
    -- Takes the lease if the connection is due and free, or dead and worth asking about again; a row that somebody else
    -- has leased or locked is passed over.
    select c.ctid, c.shares_token into place, is_shared from spotify_auth.connections c
      where c.user_id = for_user
        and (c.due_at is not null
          or (c.verify_at is not null and coalesce(c.attempted_at <= now() - interval '30 seconds', true)))
        and (c.expires_at is null or c.expires_at <= now() + refresh_within)
        and (c.claimable_at is null or c.claimable_at <= now())
      for update skip locked;
    if is_shared then
      perform spotify_auth.share_lease(array[for_user], now() + lease);
    end if;
    update spotify_auth.connections c set
      lease_id = gen_random_uuid(),
      claimable_at = now() + lease,
      attempted_at = now(),
      due_at = case when c.due_at is not null then greatest(c.due_at, now() + lease + shared.sweep_window) end
    where c.ctid = place
    returning c.* into connection;
    is_leased := found;
  end if;

  if is_leased then
    -- A statement of its own: the row lock may have come after a commit that the first snapshot cannot see.
    select p.refresh_token into grant_token from spotify_auth.safe_profiles p where p.user_id = for_user;
    if grant_token is null then
      delete from spotify_auth.connections c where c.user_id = for_user;
      return public.spotify_check_connection(for_user, refresh_within, lease);
    end if;
    state := 'leased';
  else
    if connection.user_id is null then
      select c.* into connection from spotify_auth.connections c where c.user_id = for_user;
    end if;
    state := case
      when connection.reauthorization_required_since is not null then case
        -- Somebody is asking Spotify at this moment whether the mark is right.
        when connection.lease_id is not null and connection.claimable_at > now()
          and coalesce(connection.expires_at <= now() + refresh_within, true) then 'busy'
        else 'reauthorization_required' end
      when connection.due_at is null then 'disconnected'
      when connection.expires_at > now() + refresh_within then 'connected'
      when not_before_in is not null then 'backing_off'
      -- Put off for another profile with its token, it is as good as leased.
      when connection.claimable_at > now() and connection.lease_id is null
        and not (connection.shares_token and connection.failures = 0) then 'backing_off'
      else 'busy'
    end;
    if state = 'disconnected' then
      return jsonb_build_object('state', state);
    end if;
  end if;

  return jsonb_build_object(
    'state', state,
    'spotify_user_id', profile.spotify_user_id,
    'spotify_user_email', profile.spotify_user_email,
    'connected_at', connection.authorized_at,
    'expires_at', connection.expires_at,
    'seconds_left', extract(epoch from connection.expires_at - now()),
    'reauthorize_by', connection.authorized_at + interval '6 months',
    'retry_in', greatest(0, extract(epoch from connection.claimable_at - now()), not_before_in),
    'refused', connection.held_since is not null or connection.reauthorization_required_since is not null,
    'lease', case when state = 'leased' then jsonb_build_object(
      'user_id', connection.user_id,
      'lease_id', connection.lease_id,
      'leased_at', now(),
      'refresh_token', grant_token,
      'seconds_left', extract(epoch from connection.expires_at - now()),
      'failures', connection.failures) end
  );
end;
$$;
revoke all on function public.spotify_check_connection(uuid, interval, interval) from public, anon, authenticated;
grant execute on function public.spotify_check_connection(uuid, interval, interval) to service_role;
comment on function public.spotify_check_connection is
  'Reads one connection; if its token expires within `refresh_within` and nobody has leased it, takes a lease of length '
  '`lease` in the same call. Also where the grant was found dead: asked again, 30 seconds after the last attempt at '
  'the earliest, until its tokens are removed. Returns {state, spotify_user_id, spotify_user_email, connected_at, '
  'expires_at, seconds_left, reauthorize_by, retry_in, refused, lease}. state: disconnected, connected, leased (the '
  'caller now has to refresh and record), busy (somebody else is refreshing it or verifying its mark, or the queue row is '
  'locked), locked (the '
  'profile is locked and the queue not in step with it), backing_off (a refresh failed, or Spotify asked everybody to '
  'wait; again in retry_in seconds), reauthorization_required. seconds_left is null when no usable access token is '
  'stored or its expiry cannot be true. refused: Spotify said last that the grant is dead.';

commit;

-- 5 of 13: leases. Functions only call Spotify while they hold one.

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
  'Seconds until a function may call Spotify, at most a day. Null: it may call now. '
  'A later time was written by a clock that was ahead, and does not count.';

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
    -- Without waiting: another call that holds it is choosing among the same connections at the moment.
    if pg_try_advisory_xact_lock(shared.token_hash) then
      -- An outside write may have ended the lease while its holder can still send the token: the connections
      -- that have to wait keep it leased. One that backs off by itself, as its failures show, does not.
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
        and other.claimable_at is distinct from coalesce(leased_until, until)
      for no key update skip locked);
  end loop;
end;
$$;
revoke all on function spotify_auth.share_lease(uuid[], timestamptz)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.share_lease is
$$Chooses one connection per token to lease, among those that share it, and makes the others wait.

Parameters:
  users  connections that are about to be leased and share their token; the caller has locked their rows
  until  the end of that lease

The others wait until that lease ends. If the token is already leased, all wait until that older lease ends;
while another call chooses among the same connections, they wait for a second. A write from outside only ends
the lease of its own row: the others keep waiting.$$;

create function public.spotify_check_connection(
  for_user uuid, refresh_within interval, lease interval
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  shared spotify_auth.shared_state := spotify_auth.read_shared_state();
  profile record;
  connection spotify_auth.connections;
  not_before_in double precision := spotify_auth.not_before_in();
  place tid;
  is_shared boolean;
  is_leased boolean := false;
  floor_length constant interval := '30 seconds';
  floor_left interval;
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
    -- Takes the lease if the connection is due and free, or dead and to be asked about again. Skips a row
    -- that another caller has leased or locked.
    select c.ctid, c.shares_token into place, is_shared from spotify_auth.connections c
      where c.user_id = for_user
        and (c.due_at is not null
          or (c.verify_at is not null and coalesce(c.attempted_at <= now() - floor_length, true)))
        and (c.expires_at <= now() + refresh_within) is not false
        and (c.claimable_at is null or c.claimable_at <= now())
        -- Otherwise every call would refresh a token that lives shorter than refresh_within.
        and (refresh_within is null or (c.refreshed_at between now() - floor_length and now()) is not true)
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
    -- A separate statement: the row lock may have come after a commit that the first snapshot cannot see.
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
    if refresh_within is not null and coalesce(connection.claimable_at <= now(), true)
      and connection.refreshed_at between now() - floor_length and now() then
      floor_left := connection.refreshed_at + floor_length - now();
    end if;
    state := case
      when connection.reauthorization_required_since is not null then case
        -- Another caller is asking Spotify at the moment whether the mark is right.
        when connection.lease_id is not null and connection.claimable_at > now()
          and coalesce(connection.expires_at <= now() + refresh_within, true) then 'busy'
        else 'reauthorization_required' end
      when connection.due_at is null then 'disconnected'
      when connection.expires_at > now() + refresh_within then 'connected'
      when floor_left is not null and connection.expires_at > now() then 'connected'
      when floor_left is not null then 'backing_off'
      when not_before_in is not null then 'backing_off'
      -- A connection that waits for another profile with its token is as good as leased.
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
    'retry_in', greatest(0, not_before_in,
      extract(epoch from greatest(connection.claimable_at - now(), floor_left))),
    'revoked', connection.held_since is not null or connection.reauthorization_required_since is not null,
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
revoke all on function public.spotify_check_connection(uuid, interval, interval)
  from public, anon, authenticated;
grant execute on function public.spotify_check_connection(uuid, interval, interval) to service_role;
comment on function public.spotify_check_connection is
$$Reads one connection, and takes a lease on it in the same call if its token expires soon.

Parameters:
  for_user        the user
  refresh_within  takes the lease if the token expires within this time, or at an unknown one, and the
                  connection is free; null: whenever it expires, for operators
  lease           the length of that lease

Also leases a dead grant, until its tokens are removed, to ask Spotify again, but not within 30 seconds of
the last attempt. Grants no lease for 30 seconds after a refresh, however short the new token lives, unless
refresh_within is null.

Returns {state} alone if state is disconnected or locked, else all of these:
  state               disconnected: no tokens, or no such user
                      connected: the token lives longer than refresh_within, or is valid and was refreshed in
                      the last 30 seconds
                      leased: the caller now has to refresh and record
                      busy: another caller is refreshing it or a profile with the same token, is verifying
                      its mark, or has locked the queue row
                      locked: the profile is locked, and the queue is not in step with it
                      backing_off: a refresh failed, Spotify asked all callers to wait, or a token that was
                      refreshed in the last 30 seconds has expired already; see retry_in
                      reauthorization_required: the user has to reconnect
  spotify_user_id     of the Spotify account; null: unknown
  spotify_user_email  likewise
  connected_at        when the user authorized; null: unknown
  expires_at          when the access token expires; null: no usable access token, or no believable expiry
  seconds_left        seconds until then, negative after it; null: likewise
  reauthorize_by      six months after connected_at, when Spotify ends the grant; null: unknown
  retry_in            seconds until the connection is free and Spotify may be called; 0: now
  revoked             true: Spotify's last answer called the grant dead, or the user has to reconnect
  lease               {user_id, lease_id, leased_at, refresh_token, seconds_left, failures}, as described at
                      spotify_claim_due; null: state is not leased$$;

commit;

-- 6 of 13: claims. A sweep takes leases on many connections at once.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function public.spotify_claim_due(
  batch_size integer,
  refresh_within interval,
  lease interval,
  sweep_age interval,
  calls_per_second double precision default null,
  due_from timestamptz default null
) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  shared spotify_auth.shared_state := spotify_auth.read_shared_state();
  not_before_in double precision := spotify_auth.not_before_in();
  calls_start_in double precision := 0;
  too_early_by double precision;
  scan_from timestamptz := coalesce(due_from, '-infinity');
  scan_to timestamptz := now() + refresh_within;
  due_up_to timestamptz;
  found_places tid[];
  found_sharing uuid[];
  places tid[] := '{}';
  sharing uuid[] := '{}';
  leased spotify_auth.connections[];
  claims json;
  leased_count integer;
  orphans uuid[];
  leased_users uuid[];
  is_full boolean;
begin
  if (batch_size between 1 and 1000) is not true then
    raise exception 'batch_size must be 1 to 1000, got %', batch_size using errcode = '22023';
  end if;
  if shared.sweep_window <> refresh_within then
    update spotify_auth.shared_state set sweep_window = refresh_within;
  end if;
  if not_before_in is not null then
    return json_build_object('claims', '[]'::json, 'due_up_to', null, 'next_claim_in', null,
      'calls_start_in', 0, 'not_before_in', not_before_in);
  end if;

  if calls_per_second is not null then
    -- Each claim reserves the next free stretch of time for its calls, so that all claims together keep the
    -- limit. The lock makes simultaneous claims reserve one after the other. A reservation for more than a
    -- day was made by a clock that was ahead.
    select extract(epoch from s.calls_reserved_until - now()) into calls_start_in
      from spotify_auth.shared_state s for update;
    calls_start_in := case when calls_start_in between 0 and 86400 then calls_start_in else 0 end;
    -- A lease that lapses before its call is due would be useless.
    too_early_by := calls_start_in + batch_size / calls_per_second - extract(epoch from lease) / 2;
    if too_early_by > 0 then
      return json_build_object('claims', '[]'::json, 'due_up_to', null, 'next_claim_in', too_early_by,
        'calls_start_in', 0, 'not_before_in', null);
    end if;
  end if;

  -- Due connections: from where the last claim ended, then, if the batch is not full, from the beginning. A
  -- scan from the beginning each time would read all the index entries that this sweep has left behind, which
  -- cannot be removed while an older snapshot is held.
  loop
    select array_agg(free.ctid), array_agg(free.user_id) filter (where free.shares_token),
        coalesce(due_up_to, max(free.due_at))
      into found_places, found_sharing, due_up_to
      from (
        select c.ctid, c.user_id, c.shares_token, c.due_at from spotify_auth.connections c
        where c.due_at >= scan_from and c.due_at <= scan_to
          and (c.claimable_at is null or c.claimable_at <= now())
          and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
        order by c.due_at
        limit batch_size - cardinality(places)
        for update skip locked) free;
    places := places || coalesce(found_places, '{}');
    sharing := sharing || coalesce(found_sharing, '{}');
    exit when cardinality(places) = batch_size or scan_from = '-infinity';
    scan_to := scan_from - interval '1 microsecond';
    scan_from := '-infinity';
  end loop;

  -- If there is room, dead grants whose marks are to be verified.
  if cardinality(places) < batch_size then
    select array_agg(free.ctid), array_agg(free.user_id) filter (where free.shares_token)
      into found_places, found_sharing
      from (
        select c.ctid, c.user_id, c.shares_token from spotify_auth.connections c
        where c.verify_at <= now() and (c.claimable_at is null or c.claimable_at <= now())
        order by c.verify_at
        limit batch_size - cardinality(places)
        for update skip locked) free;
    places := places || coalesce(found_places, '{}');
    sharing := sharing || coalesce(found_sharing, '{}');
  end if;
  is_full := cardinality(places) = batch_size;

  if cardinality(sharing) > 0 then
    -- Moves rows that must not be leased, and leaves their places empty.
    perform spotify_auth.share_lease(sharing, now() + lease);
  end if;

  -- By position, not by user: the locks keep the rows where they are, and no index has to be searched again.
  -- A separate statement: joined into the one that locks, it is planned as a scan of the whole queue.
  with claimed as (
    update spotify_auth.connections c set
      lease_id = gen_random_uuid(),
      claimable_at = now() + lease,
      attempted_at = now(),
      due_at = case when c.due_at is not null then now() + lease + refresh_within end,
      verify_at = case when c.verify_at is not null then now() + lease end
    where c.ctid = any (places)
    returning c as connection)
  select array_agg(claimed.connection) into leased from claimed;

  -- Another separate statement: tokens that the locking statement read may be older than the lock.
  select
    json_agg(json_build_object(
      'user_id', c.user_id,
      'lease_id', c.lease_id,
      'leased_at', now(),
      'refresh_token', p.refresh_token,
      'seconds_left', extract(epoch from c.expires_at - now()),
      'failures', c.failures) order by c.expires_at nulls first)
      filter (where p.refresh_token is not null),
    count(p.refresh_token),
    array_agg(c.user_id) filter (where p.refresh_token is null),
    array_agg(c.user_id)
  into claims, leased_count, orphans, leased_users
  from unnest(leased) c left join spotify_auth.safe_profiles p on p.user_id = c.user_id;

  if orphans is not null then
    -- Deleted, not updated: a second update in one transaction checks the foreign key, and a profile that a
    -- restore removed would fail every claim. read_shared_state has checked that none is merely hidden.
    delete from spotify_auth.connections c where c.user_id = any (orphans);
    perform spotify_auth.follow_profiles(orphans);
  end if;

  if calls_per_second is not null and leased_count > 0 then
    update spotify_auth.shared_state set calls_reserved_until =
      now() + make_interval(secs => calls_start_in + leased_count / calls_per_second);
  end if;

  return json_build_object(
    'claims', coalesce(claims, '[]'),
    'due_up_to', case when is_full then due_up_to end,
    'calls_start_in', calls_start_in,
    'next_claim_in', case when leased_count < batch_size then least(
      (select extract(epoch from c.claimable_at - now())
        from spotify_auth.connections c
        where c.claimable_at > now() and c.claimable_at <= now() + refresh_within
          and c.due_at is not null
          and (c.expires_at is null or c.expires_at <= now() + refresh_within)
          and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
          and c.user_id <> all (coalesce(leased_users, '{}'))
        order by c.claimable_at
        limit 1),
      -- Still free and due: its row was locked for a moment, or a whole batch turned out to have no token.
      -- Ordered, because `exists` would be planned as a scan of the whole queue that hopes to find one early.
      (select 1 from spotify_auth.connections c
        where c.due_at <= now() + refresh_within
          and (c.claimable_at is null or c.claimable_at <= now())
          and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
        order by c.due_at
        limit 1)) end,
    'not_before_in', null
  );
end;
$$;
revoke all on function
  public.spotify_claim_due(integer, interval, interval, interval, double precision, timestamptz)
  from public, anon, authenticated;
grant execute on function
  public.spotify_claim_due(integer, interval, interval, interval, double precision, timestamptz)
  to service_role;
comment on function public.spotify_claim_due is
$$Takes leases on due connections, earliest expiry first.

If fewer than a batch are due, also takes leases on dead grants whose marks are to be verified. Skips rows
that are leased or locked.

Parameters:
  batch_size        how many leases at most, 1 to 1,000; else 22023
  refresh_within    a connection is due if its token expires within this time, or at an unknown one
  lease             the length of the leases
  sweep_age         the time since the sweep began: skips connections that were refreshed within it
  calls_per_second  reserves time for one call per lease, after the calls of earlier claims; claims nothing
                    while a call might come later than half its lease; null: no limit
  due_from          the due_up_to of this sweep's last claim, to continue there; null: the beginning

Returns one document, because the REST API silently cuts result sets off:
  claims          [{user_id, lease_id, leased_at, refresh_token, seconds_left, failures}]
  due_up_to       how far in the queue this claim came; null: the batch was not full
  calls_start_in  seconds until the first of the reserved calls is due; 0: no limit, or at once
  next_claim_in   seconds until there is more to claim: a connection within the window that is leased, locked
                  or backing off becomes free, or there is time for the calls; null: the batch
                  was full, nothing more is due, or not_before_in is set
  not_before_in   seconds until a function may call Spotify; nothing is claimed before; null: it may call now

Members of a claim:
  leased_at      when the lease was taken, for spotify_record
  refresh_token  the token to refresh with
  seconds_left   until the access token expires, negative after it; null: unknown, or none
  failures       consecutive failed attempts$$;

commit;

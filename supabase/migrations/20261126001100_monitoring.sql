-- 12 of 13: monitoring, of all connections and of one.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function spotify_auth.schema_version() returns integer
language sql immutable set search_path = pg_catalog, pg_temp as $$ select 1; $$;
revoke all on function spotify_auth.schema_version() from public, anon, authenticated, service_role;
comment on function spotify_auth.schema_version is
  'Every migration that the code of the Lambda functions needs raises it. '
  'A function, so that a copy of the schema includes it.';

-- In plpgsql, which plans for the given interval. An SQL function would be planned for any interval, and
-- read the whole queue.
create function public.spotify_due_count(refresh_within interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform spotify_auth.read_shared_state();
  return (select count(*) from spotify_auth.connections c where c.due_at <= now() + refresh_within)
    -- Leased, backing off, or lapsed since: their position in the queue is later than their expiry.
    + (select count(*) from spotify_auth.connections c
       where c.claimable_at is not null and c.due_at > now() + refresh_within
         and (c.expires_at is null or c.expires_at <= now() + refresh_within));
end;
$$;
revoke all on function public.spotify_due_count(interval) from public, anon, authenticated;
grant execute on function public.spotify_due_count(interval) to service_role;
comment on function public.spotify_due_count is
  'Counts the living connections whose token expires within `refresh_within`, or at an unknown time. '
  'Includes those that are leased or backing off.';

create function public.spotify_connection_stats() returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  window_end timestamptz := now() + state.sweep_window;
  limit_reached timestamptz := now() - interval '6 months';
  limit_near timestamptz := now() - interval '6 months' + interval '30 days';
begin
  return (
    select jsonb_build_object(
      'connected', count(*) filter (where c.due_at is not null),
      'due', count(*) filter (
        where c.due_at is not null and (c.expires_at is null or c.expires_at <= window_end)),
      'expired', count(*) filter (
        where c.due_at is not null and (c.expires_at is null or c.expires_at <= now())),
      'oldest_overdue_seconds', coalesce(extract(epoch from
        now() - min(c.expires_at) filter (where c.due_at is not null and c.expires_at <= now())), 0),
      'waiting_for_reauthorization', count(c.reauthorization_required_since),
      'reauthorizations_due', count(*) filter (
        where c.due_at is not null and c.authorized_at > limit_reached and c.authorized_at <= limit_near),
      'held', count(c.held_since),
      'breaker_open_seconds', extract(epoch from now() - state.breaker_opened_at),
      'nearly_all_revoked', spotify_auth.is_nearly_all_revoked(0, 0),
      'implausible_expiries', count(*) filter (where c.implausible_expiry),
      'shared_tokens', (
        select count(*) from spotify_auth.connections sharing join spotify_auth.token_hashes h using (user_id)
        where sharing.shares_token and exists (
          select from spotify_auth.token_hashes other
          where other.token_hash = h.token_hash and other.user_id <> h.user_id)),
      'missed_profile_changes', coalesce(pg_sequence_last_value('spotify_auth.missed_profile_changes'), 0),
      'not_before_in', spotify_auth.not_before_in(),
      'last_sweep_finished_at', state.last_sweep_finished_at,
      'seconds_since_last_sweep', extract(epoch from now() - state.last_sweep_finished_at),
      'schema_version', spotify_auth.schema_version())
    from spotify_auth.connections c);
end;
$$;
revoke all on function public.spotify_connection_stats() from public, anon, authenticated;
grant execute on function public.spotify_connection_stats() to service_role;
comment on function public.spotify_connection_stats is
$$Counts all connections by state, for monitoring. Reads the whole queue.

Returns {...}; a connection is living if it is neither dead nor disconnected:
  connected                    living connections
  due                          of these, token expires within the sweeps' window or at an unknown time
  expired                      of these, token has expired, or expires at an unknown time
  oldest_overdue_seconds       seconds since the first of these tokens expired; 0: none has
  waiting_for_reauthorization  connections whose user has to reconnect
  reauthorizations_due         living connections whose grant Spotify's limit ends within 30 days
  held                         grants that Spotify refuses without being believed yet
  breaker_open_seconds         seconds since the revocation breaker opened; null: it is closed
  nearly_all_revoked           true: the client's credentials seem to be another app's
  implausible_expiries         connections whose last expiry from outside cannot be true
  shared_tokens                connections that share a refresh token with another one
  missed_profile_changes       changes that reached the queue late, in total
  not_before_in                seconds until a function may call Spotify; null: it may call now
  last_sweep_finished_at       when a sweep last finished; null: none has
  seconds_since_last_sweep     seconds since then; null: likewise
  schema_version               for the code to compare with the version that it needs$$;

create function public.spotify_finish_sweep(did_its_work boolean) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  statistics jsonb;
begin
  if did_its_work then
    update spotify_auth.shared_state set last_sweep_finished_at = now();
  end if;
  statistics := public.spotify_connection_stats();
  update spotify_auth.shared_state set
    population = (statistics ->> 'connected')::integer,
    missed_reported = (statistics ->> 'missed_profile_changes')::bigint;
  -- In batches: a wave of a million changes is gone after some days, and no sweep waits for it.
  delete from spotify_auth.changes c where (c.user_id, c.number) in (
    select old.user_id, old.number from spotify_auth.changes old
    where old.changed_at < now() - interval '90 days'
    order by old.changed_at
    limit 10000);
  return statistics || jsonb_build_object('newly_missed_profile_changes',
    (statistics ->> 'missed_profile_changes')::bigint - state.missed_reported);
end;
$$;
revoke all on function public.spotify_finish_sweep(boolean) from public, anon, authenticated;
grant execute on function public.spotify_finish_sweep(boolean) to service_role;
comment on function public.spotify_finish_sweep is
$$Records the end of a sweep, and returns the statistics.

Parameters:
  did_its_work  whether the sweep could do its work: if so, records when it ended

Also records the number of living connections, and deletes up to 10,000 changes older than 90 days.
Returns spotify_connection_stats, and also:
  newly_missed_profile_changes  changes of profiles that reached the queue late since the last call$$;

create function public.spotify_show_connection(for_user uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  perform spotify_auth.read_shared_state();
  return coalesce((
    select jsonb_build_object(
      'user_id', p.id,
      'state', case
        when c.user_id is null then 'never_connected'
        when c.reauthorization_required_since is not null then 'reauthorization_required'
        when c.due_at is null then 'disconnected'
        else 'connected' end)
      || case when c.user_id is null then '{}' else jsonb_build_object(
        'expires_at', c.expires_at,
        'seconds_left', extract(epoch from c.expires_at - now()),
        'connected_at', c.authorized_at,
        'reauthorize_by', c.authorized_at + interval '6 months',
        'refreshed_at', c.refreshed_at,
        'refreshes', c.refreshes,
        'attempted_at', c.attempted_at,
        'failures', c.failures,
        'due_at', c.due_at,
        'leased', c.lease_id is not null and c.claimable_at > now(),
        'claimable_at', c.claimable_at,
        'seen_alive', c.seen_alive,
        'held_since', c.held_since,
        'revocation_reason', c.revocation_reason,
        'reauthorization_required_since', c.reauthorization_required_since,
        'reauthorization_reason', c.reauthorization_reason,
        'verify_at', c.verify_at,
        'tokens_cleared_at', c.tokens_cleared_at,
        'implausible_expiry', c.implausible_expiry,
        'shares_token', c.shares_token,
        'announced_mark', c.announced_mark,
        'announced_days', case when c.announced_authorization = c.authorized_at then c.announced_days end) end
    from public.profiles p left join spotify_auth.connections c on c.user_id = p.id
    where p.id = for_user),
    jsonb_build_object('user_id', for_user, 'state', 'unknown_user'));
end;
$$;
revoke all on function public.spotify_show_connection(uuid) from public, anon, authenticated;
grant execute on function public.spotify_show_connection(uuid) to service_role;
comment on function public.spotify_show_connection is
$$Shows everything about one connection, without its tokens.

Returns only {user_id, state} if state is unknown_user or never_connected, else also the columns of
spotify_auth.connections that explain it, and: seconds_left until the access token expires, negative after it;
reauthorize_by; leased; connected_at, which is the column authorized_at.

States:
  connected                 the grant is alive; the token may have expired, see seconds_left
  reauthorization_required  the user has to reconnect
  disconnected              the user has disconnected: no tokens
  never_connected           the user has no queue row
  unknown_user              there is no such profile$$;

create function public.spotify_explain_connection(for_user uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  return public.spotify_show_connection(for_user) || jsonb_build_object('changes', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'changed_at', c.changed_at, 'change', c.change, 'reason', c.reason) order by c.number desc), '[]')
    from spotify_auth.changes c where c.user_id = for_user));
end;
$$;
revoke all on function public.spotify_explain_connection(uuid) from public, anon, authenticated;
grant execute on function public.spotify_explain_connection(uuid) to service_role;
comment on function public.spotify_explain_connection is
$$Shows the history of one connection, without its tokens.

Returns spotify_show_connection, and also:
  changes  [{changed_at, change, reason}] of the last 90 days, at most 100, newest first: as in
           spotify_auth.changes$$;

create function public.spotify_find_user(email text) returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- The account's address, which Supabase Auth has verified; users may write any address into their profile.
  -- The second condition matches the unique index: only SSO accounts may share an address.
  return (
    select u.id from auth.users u
    where u.email = lower(spotify_find_user.email) and u.is_sso_user = false);
end;
$$;
revoke all on function public.spotify_find_user(text) from public, anon, authenticated;
grant execute on function public.spotify_find_user(text) to service_role;
comment on function public.spotify_find_user is
  'The id of the user whose account has this e-mail address, ignoring case. Null: none.';

commit;

-- Notices for other teams (a connection needs reauthorization, or soon will), and what operators look at.
--
-- The code of the first version works on with it, so it is applied before the code that needs it.

alter table spotify_auth.connections
  add column noticed_mark timestamptz,
  add column noticed_authorization timestamptz,
  add column noticed_days smallint;
comment on column spotify_auth.connections.noticed_mark is 'The dead mark (reauthorization_required_since) of which other teams have been told.';
comment on column spotify_auth.connections.noticed_authorization is 'The authorization (authorized_at) of whose end other teams have been told ahead.';
comment on column spotify_auth.connections.noticed_days is 'How many days ahead they were told last: 30, 7 or 1. Null: not yet.';

alter table spotify_auth.service
  add column notices_since timestamptz not null default now(),
  add column last_sweep_finished_at timestamptz;
comment on column spotify_auth.service.notices_since is 'Grants that were marked dead before this moment are not announced: their users have long been told by the page.';
comment on column spotify_auth.service.last_sweep_finished_at is 'When a sweep last came to its end, by hand or by schedule.';

update spotify_auth.service set schema_version = 2;

-- ---------------------------------------------------------------------------------------------------------------
-- Notices
-- ---------------------------------------------------------------------------------------------------------------

-- These read the whole queue once per sweep. In plpgsql, which hands the planner moments that are computed once: as
-- expressions they are computed for each of a million rows.
create function public.spotify_pending_notices(batch_size integer) returns jsonb
language plpgsql stable security definer set search_path = '' set timezone = 'UTC' as $$
declare
  limit_near timestamptz := now() - interval '6 months' + interval '33 days';
  in_a_day timestamptz := now() + interval '1 day';
  in_a_week timestamptz := now() + interval '7 days';
  in_a_month timestamptz := now() + interval '30 days';
  marked_since timestamptz;
  -- Not before the breaker can have undone the mark, and not while it is open: nobody is told of a revocation that
  -- turns out to be Spotify's mistake.
  marked_until timestamptz;
begin
  select s.notices_since, case when s.breaker_opened_at is null then now() - interval '20 minutes' end
    into marked_since, marked_until from spotify_auth.service s;
  return (
    with near as materialized (
      select c.user_id, c.authorized_at, c.authorized_at + interval '6 months' as reauthorize_by, c.noticed_authorization, c.noticed_days
      from spotify_auth.connections c
      where c.authorized_at < limit_near and c.due_at is not null
        and (c.noticed_authorization is distinct from c.authorized_at or c.noticed_days > 1)
    ), notice as (
      (select 'required' as kind, c.user_id, c.reauthorization_required_since as since, c.reauthorization_reason as reason,
        null::timestamptz as connected_at, null::timestamptz as reauthorize_by, null::integer as days
      from spotify_auth.connections c
      where c.reauthorization_required_since >= marked_since
        and c.reauthorization_required_since <= marked_until
        and c.noticed_mark is distinct from c.reauthorization_required_since
      limit batch_size)
      union all
      -- Of several that are overdue only the most urgent: nobody is told "in 30 days" and "tomorrow" at once.
      (select 'due', n.user_id, null, null, n.authorized_at, n.reauthorize_by, ahead.days
      from near n, lateral (select case
        when n.reauthorize_by <= in_a_day then 1
        when n.reauthorize_by <= in_a_week then 7
        when n.reauthorize_by <= in_a_month then 30 end as days) ahead
      where n.reauthorize_by > now()
        and ahead.days is not null
        and (n.noticed_authorization is distinct from n.authorized_at or ahead.days < n.noticed_days)
      limit batch_size)
      limit batch_size
    )
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'id', md5(concat_ws(' ', n.kind, n.user_id, extract(epoch from coalesce(n.since, n.connected_at)), n.days))::uuid,
      'kind', n.kind,
      'user_id', n.user_id,
      'since', n.since,
      'reason', n.reason,
      'connected_at', n.connected_at,
      'reauthorize_by', n.reauthorize_by,
      'days', n.days))), '[]')
    from notice n);
end;
$$;
comment on function public.spotify_pending_notices is
'Up to `batch_size` things that other teams have not been told yet: [{id, kind, user_id, ...}]. kind required: the grant is dead, with since and reason (grant_revoked, no_refresh_token); 20 minutes after the mark at the earliest, and never while the revocation breaker is open. kind due: Spotify''s six-month limit ends a living grant in at most `days` (30, 7 or 1) days, with connected_at and reauthorize_by; each once per authorization. The same notice has the same id whenever it is asked for. Reads the whole queue.';

create function public.spotify_record_notices(notices jsonb) returns integer
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  recorded integer;
begin
  with sent as materialized (
    select n.* from jsonb_to_recordset(notices) as n
      (kind text, user_id uuid, since timestamptz, connected_at timestamptz, days smallint)
  ), free as materialized (
    -- Who has one of these rows locked is refreshing it: that notice is sent again, with the same id.
    select c.user_id from spotify_auth.connections c where c.user_id in (select sent.user_id from sent)
    order by c.user_id for no key update skip locked
  )
  update spotify_auth.connections c set
    noticed_mark = case sent.kind when 'required' then sent.since else c.noticed_mark end,
    noticed_authorization = case sent.kind when 'due' then sent.connected_at else c.noticed_authorization end,
    noticed_days = case sent.kind when 'due' then sent.days else c.noticed_days end
  from sent, free
  where c.user_id = sent.user_id and c.user_id = free.user_id;
  get diagnostics recorded = row_count;
  return recorded;
end;
$$;
comment on function public.spotify_record_notices is
'Remembers that these notices, as spotify_pending_notices gave them, have been sent. Returns for how many; one whose connection is locked at the moment is pending again.';

-- ---------------------------------------------------------------------------------------------------------------
-- For operators
-- ---------------------------------------------------------------------------------------------------------------

create or replace function public.spotify_connection_stats() returns jsonb
language plpgsql stable security definer set search_path = '' set timezone = 'UTC' as $$
declare
  service spotify_auth.service;
  window_end timestamptz;
  limit_reached timestamptz := now() - interval '6 months';
  limit_near timestamptz := now() - interval '6 months' + interval '30 days';
begin
  select s.* into service from spotify_auth.service s;
  window_end := now() + service.sweep_window;
  return (
    select jsonb_build_object(
      'connected', count(*) filter (where c.due_at is not null),
      'due', count(*) filter (where c.due_at is not null and (c.expires_at is null or c.expires_at <= window_end)),
      'expired', count(*) filter (where c.due_at is not null and (c.expires_at is null or c.expires_at <= now())),
      'waiting_for_reauthorization', count(c.reauthorization_required_since),
      'reauthorizations_due', count(*) filter (where c.due_at is not null and c.authorized_at > limit_reached and c.authorized_at <= limit_near),
      'oldest_overdue_seconds', coalesce(extract(epoch from now() - min(c.expires_at) filter (where c.due_at is not null and c.expires_at <= now())), 0),
      'held_by_breaker', count(c.held_since),
      'breaker_open_seconds', extract(epoch from now() - service.breaker_opened_at),
      'not_before_in', spotify_auth.not_before_in(),
      'last_sweep_finished_at', service.last_sweep_finished_at,
      'seconds_since_last_sweep', extract(epoch from now() - service.last_sweep_finished_at),
      'schema_version', service.schema_version)
    from spotify_auth.connections c);
end;
$$;
comment on function public.spotify_connection_stats is 'For monitoring: {connected, due (within the sweeps'' window), expired, waiting_for_reauthorization, reauthorizations_due (within 30 days), oldest_overdue_seconds, held_by_breaker, breaker_open_seconds (null: closed), not_before_in (null: anybody may call Spotify), last_sweep_finished_at, seconds_since_last_sweep (null: there was none), schema_version}. Reads the whole queue.';

create function public.spotify_finish_sweep(did_its_work boolean) returns jsonb
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
begin
  if did_its_work then
    update spotify_auth.service set last_sweep_finished_at = now();
  end if;
  return public.spotify_connection_stats();
end;
$$;
comment on function public.spotify_finish_sweep is 'Called at the end of a sweep: remembers when that was, if the sweep could do its work, and returns spotify_connection_stats.';

-- In batches: a false revocation of hundreds of thousands takes longer to undo than a statement may.
drop function public.spotify_restore_connections(timestamptz);
create function public.spotify_restore_connections(since timestamptz, batch_size integer default 5000) returns integer
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  restored integer;
begin
  update spotify_auth.connections c set
    reauthorization_required_since = null,
    reauthorization_reason = null,
    marked_after_all = false,
    failures = 0,
    due_at = coalesce(c.expires_at, now())
  where c.user_id in (
    select marked.user_id from spotify_auth.connections marked
    where marked.reauthorization_required_since >= since
      and marked.reauthorization_reason = 'grant_revoked'
      and marked.tokens_cleared_at is null
    order by marked.reauthorization_required_since
    limit batch_size
    for no key update skip locked);
  get diagnostics restored = row_count;
  return restored;
end;
$$;
comment on function public.spotify_restore_connections is
'For operators, after Spotify wrongly said that grants were dead: undoes up to `batch_size` of the marks made since a moment, as long as the tokens are still there (a week). The connections are due at once. Returns how many; fewer than asked for: these were the last.';

create function public.spotify_show_connection(for_user uuid) returns jsonb
language sql stable security definer set search_path = '' set timezone = 'UTC' as $$
  select coalesce((
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
        'attempted_at', c.attempted_at,
        'failures', c.failures,
        'due_at', c.due_at,
        'leased', c.lease_id is not null and c.claimable_at > now(),
        'claimable_at', c.claimable_at,
        'held_since', c.held_since,
        'reauthorization_required_since', c.reauthorization_required_since,
        'reauthorization_reason', c.reauthorization_reason,
        'tokens_cleared_at', c.tokens_cleared_at,
        'noticed_mark', c.noticed_mark,
        'noticed_days', case when c.noticed_authorization = c.authorized_at then c.noticed_days end) end
    from public.profiles p left join spotify_auth.connections c on c.user_id = p.id
    where p.id = for_user),
    jsonb_build_object('user_id', for_user, 'state', 'unknown_user'));
$$;
comment on function public.spotify_show_connection is
'What is known of one connection, without tokens: {user_id, state} and, unless state is unknown_user or never_connected, the columns of spotify_auth.connections that explain it. state: connected (the grant lives, which says nothing about whether its token has run out: seconds_left), reauthorization_required, disconnected, never_connected, unknown_user.';

-- ---------------------------------------------------------------------------------------------------------------
-- The door: service_role alone
-- ---------------------------------------------------------------------------------------------------------------

revoke all on function
  public.spotify_pending_notices(integer),
  public.spotify_record_notices(jsonb),
  public.spotify_finish_sweep(boolean),
  public.spotify_restore_connections(timestamptz, integer),
  public.spotify_show_connection(uuid)
from public, anon, authenticated;

grant execute on function
  public.spotify_pending_notices(integer),
  public.spotify_record_notices(jsonb),
  public.spotify_finish_sweep(boolean),
  public.spotify_restore_connections(timestamptz, integer),
  public.spotify_show_connection(uuid)
to service_role;

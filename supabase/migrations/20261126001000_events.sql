-- 11 of 13: events that tell other teams that a user has to reconnect, now or soon.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

-- Reads the whole queue once per sweep. In plpgsql, because its variables are computed once; as expressions
-- these times would be computed for each of a million rows.
create function public.spotify_pending_events(batch_size integer) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  limit_near timestamptz := now() - interval '6 months' + interval '33 days';
  in_a_day timestamptz := now() + interval '1 day';
  in_a_week timestamptz := now() + interval '7 days';
  in_a_month timestamptz := now() + interval '30 days';
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  -- The breaker must have had time to undo the mark, and be closed, so that no team is told of a revocation
  -- that turns out to be Spotify's mistake.
  marked_until timestamptz := case
    when state.breaker_opened_at is null then now() - interval '30 minutes' end;
begin
  return (
    with near as materialized (
      select c.user_id, c.authorized_at, c.authorized_at + interval '6 months' as reauthorize_by,
        c.announced_authorization, c.announced_days
      from spotify_auth.connections c
      where c.authorized_at < limit_near and c.due_at is not null
        and (c.announced_authorization is distinct from c.authorized_at or c.announced_days > 1)
    ), event as (
      (select 'required' as kind, c.user_id, c.reauthorization_required_since as since,
        c.reauthorization_reason as reason, null::timestamptz as connected_at,
        null::timestamptz as reauthorize_by, null::integer as days
      from spotify_auth.connections c
      where c.reauthorization_required_since >= state.events_since
        and c.reauthorization_required_since <= marked_until
        and c.announced_mark is distinct from c.reauthorization_required_since
      limit batch_size)
      union all
      -- Of several overdue events only the most urgent: no user hears "in 30 days" and "tomorrow" at once.
      (select 'due', n.user_id, null, null, n.authorized_at, n.reauthorize_by, ahead.days
      from near n, lateral (select case
        when n.reauthorize_by <= in_a_day then 1
        when n.reauthorize_by <= in_a_week then 7
        when n.reauthorize_by <= in_a_month then 30 end as days) ahead
      where n.reauthorize_by > now()
        and ahead.days is not null
        and (n.announced_authorization is distinct from n.authorized_at or ahead.days < n.announced_days)
      limit batch_size)
      limit batch_size
    )
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'id', md5(concat_ws(' ',
        e.kind, e.user_id, extract(epoch from coalesce(e.since, e.connected_at)), e.days))::uuid,
      'kind', e.kind,
      'user_id', e.user_id,
      'since', e.since,
      'reason', e.reason,
      'connected_at', e.connected_at,
      'reauthorize_by', e.reauthorize_by,
      'days', e.days))), '[]')
    from event e);
end;
$$;
revoke all on function public.spotify_pending_events(integer) from public, anon, authenticated;
grant execute on function public.spotify_pending_events(integer) to service_role;
comment on function public.spotify_pending_events is
$$Returns events that have not been sent to other teams yet.

Parameters:
  batch_size  the maximum number of events

Returns [{id, kind, user_id, ...}] without null members. An event has the same id in every call.
  kind required   the grant is dead; not until 30 minutes after the mark, and never while the revocation
                  breaker is open
    since           when the grant was marked dead
    reason          grant_revoked, no_refresh_token
  kind due        Spotify's six-month limit ends a living grant soon
    connected_at    when the user authorized
    reauthorize_by  when the grant ends
    days            in at most this many days: 30, 7 or 1; each once per authorization

Reads the whole queue.$$;

create function public.spotify_record_events(events jsonb) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  told record;
  recorded integer := 0;
begin
  for told in with sent as materialized (
    select n.* from jsonb_to_recordset(events) as n
      (kind text, user_id uuid, since timestamptz, connected_at timestamptz, days smallint)
  ), free as materialized (
    -- A locked row is being refreshed: its event is sent again, with the same id.
    select c.user_id from spotify_auth.connections c where c.user_id in (select sent.user_id from sent)
    order by c.user_id for no key update skip locked
  )
  update spotify_auth.connections c set
    announced_mark = case sent.kind when 'required' then sent.since else c.announced_mark end,
    announced_authorization = case sent.kind
      when 'due' then sent.connected_at else c.announced_authorization end,
    announced_days = case sent.kind when 'due' then sent.days else c.announced_days end
  from sent, free
  where c.user_id = sent.user_id and c.user_id = free.user_id
  returning c.user_id, case sent.kind
    when 'due' then concat('due_in_', sent.days, '_days') else 'reauthorization_required' end as reason
  loop
    perform spotify_auth.add_change(told.user_id, 'told', told.reason);
    recorded := recorded + 1;
  end loop;
  return recorded;
end;
$$;
revoke all on function public.spotify_record_events(jsonb) from public, anon, authenticated;
grant execute on function public.spotify_record_events(jsonb) to service_role;
comment on function public.spotify_record_events is
$$Records that events have been sent, and adds them to the histories of their connections.

Parameters:
  events  as spotify_pending_events returned them

Returns the number of recorded connections; the event of a locked connection stays pending.$$;

commit;

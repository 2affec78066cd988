-- 10 of 13: dead grants, whose tokens are removed or whose marks an operator undoes.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function public.spotify_clear_dead_grants(grace interval, batch_size integer) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  found integer;
  cleared uuid[];
  refusals spotify_auth.refusal[];
begin
  if state.breaker_opened_at is not null then
    return jsonb_build_object('cleared', 0, 'refused', '[]'::jsonb, 'done', true);
  end if;
  with dead as materialized (
    select c.user_id from spotify_auth.connections c
    where c.reauthorization_required_since <= now() - grace and c.tokens_cleared_at is null
      and (c.claimable_at is null or c.claimable_at <= now())
    order by c.reauthorization_required_since
    limit batch_size
    for no key update skip locked
  ), free as (
    select p.id from public.profiles p join dead on dead.user_id = p.id for no key update of p skip locked
  )
  select (select count(*) from dead), array(select free.id from free) into found, cleared;

  refusals := spotify_auth.write_tokens(
    cleared,
    array_fill(null::text, array[cardinality(cleared)]),
    array_fill(null::text, array[cardinality(cleared)]),
    array_fill(null::timestamptz, array[cardinality(cleared)]));
  -- Refused ones keep their tokens, and must not come first in the next batches.
  update spotify_auth.connections c set claimable_at = now() + interval '1 day'
    from unnest(refusals) r where c.user_id = r.user_id;
  perform spotify_auth.note_refusals(refusals);
  with gone as (
    -- Also ends a lapsed lease: its late outcome would have the mark verified, with no token left to send.
    update spotify_auth.connections c set
      expires_at = null, verify_at = null, lease_id = null, tokens_cleared_at = now()
    where c.user_id = any (cleared) and c.user_id <> all (array(select r.user_id from unnest(refusals) r))
    returning c.user_id)
  delete from spotify_auth.token_hashes h using gone where h.user_id = gone.user_id;

  return jsonb_build_object(
    'cleared', cardinality(cleared) - cardinality(refusals),
    'refused', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'user_id', r.user_id, 'code', r.code, 'constraint', r.constraint_name)), '[]')
      from unnest(refusals) r),
    'done', found < batch_size);
end;
$$;
revoke all on function public.spotify_clear_dead_grants(interval, integer) from public, anon, authenticated;
grant execute on function public.spotify_clear_dead_grants(interval, integer) to service_role;
comment on function public.spotify_clear_dead_grants is
$$Removes the tokens of grants that have been dead for a while, and never while the breaker is open.

Removes the expiry as well. The mark stays, so that the user is still told to reconnect.

Parameters:
  grace       how long a grant must have been dead
  batch_size  the maximum number of grants

Returns {cleared, refused, done}:
  cleared  the number of grants that lost their tokens
  refused  [{user_id, code, constraint}]: Bondhu's schema rejects the removal (code is the SQLSTATE,
           constraint may be null); tried again a day later
  done     false: there may be more; true: there are no more, or the breaker is open$$;

create function public.spotify_count_restorable(since timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  perform spotify_auth.read_shared_state();
  return (
    select count(*) from spotify_auth.connections marked
    where marked.reauthorization_required_since >= since
      and marked.reauthorization_reason = 'grant_revoked'
      and marked.tokens_cleared_at is null);
end;
$$;
revoke all on function public.spotify_count_restorable(timestamptz) from public, anon, authenticated;
grant execute on function public.spotify_count_restorable(timestamptz) to service_role;
comment on function public.spotify_count_restorable is
  'Counts the dead marks made since a time that spotify_restore_connections would undo. Changes nothing.';

create function public.spotify_restore_connections(since timestamptz, batch_size integer default 5000)
returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  restored integer;
begin
  perform spotify_auth.read_shared_state();
  -- In batches: a false revocation of hundreds of thousands takes longer to undo than a statement may.
  update spotify_auth.connections c set
    reauthorization_required_since = null,
    reauthorization_reason = null,
    marked_after_all = false,
    verify_at = null,
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
revoke all on function public.spotify_restore_connections(timestamptz, integer)
  from public, anon, authenticated;
grant execute on function public.spotify_restore_connections(timestamptz, integer) to service_role;
comment on function public.spotify_restore_connections is
$$Undoes dead marks, for operators, after Spotify wrongly said that grants were dead.

The connections become due when their tokens expire, usually at once. A mark can be undone while the
tokens still exist: a week.

Parameters:
  since       undoes the marks made since this time
  batch_size  the maximum number of marks

Returns how many marks it has undone; fewer than batch_size: the rest, if any, is locked at the moment.$$;

commit;

-- 4 of 13: filling the queue after the first migration, and repairing it from then on.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function public.spotify_reconcile(batch_size integer) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '1s' as $$
declare
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  missed bigint := coalesce(pg_sequence_last_value('spotify_auth.missed_profile_changes'), 0);
  drifted_users uuid[];
  page_end uuid;
  one_user uuid;
  healed integer;
begin
  if (batch_size > 0) is not true then
    raise exception 'batch_size must be at least 1, got %', batch_size using errcode = '22023';
  end if;
  select s.* into state from spotify_auth.shared_state s for update skip locked;
  if not found then
    return jsonb_build_object('healed', 0, 'done', true);
  end if;
  if state.reconciled_up_to is null then
    state.missed_before_pass := missed;
  end if;

  with page as materialized (
    select p.user_id, p.has_drifted from spotify_auth.compared_profiles p
    where p.user_id > coalesce(state.reconciled_up_to, '00000000-0000-0000-0000-000000000000')
    order by p.user_id
    limit batch_size
  )
  select array(select page.user_id from page where page.has_drifted),
    (select page.user_id from page order by page.user_id desc limit 1)
  into drifted_users, page_end;

  begin
    healed := spotify_auth.follow_profiles(drifted_users);
  exception when others or assert_failure then
    -- At least one row cannot be followed: one by one, so that it does not stop the others.
    healed := 0;
    foreach one_user in array drifted_users loop
      begin
        healed := healed + spotify_auth.follow_profiles(array[one_user]);
      exception when others or assert_failure then
        raise warning 'spotify_reconcile: the queue row of % was not fixed (SQLSTATE %)', one_user, sqlstate;
      end;
    end loop;
  end;

  if page_end is null then
    state.backfilled := true;
    state.missed_healed := state.missed_before_pass;
    select count(*) into state.population from spotify_auth.connections c where c.due_at is not null;
  end if;
  update spotify_auth.shared_state s set
    reconciled_up_to = page_end,
    backfilled = state.backfilled,
    missed_before_pass = state.missed_before_pass,
    missed_healed = state.missed_healed,
    population = state.population;
  return jsonb_build_object(
    'healed', healed,
    'done', page_end is null or (state.backfilled and state.missed_healed >= missed));
end;
$$;
revoke all on function public.spotify_reconcile(integer) from public, anon, authenticated;
grant execute on function public.spotify_reconcile(integer) to service_role;
comment on function public.spotify_reconcile is
$$Compares the next profiles with the queue and repairs the differences.

Fills the queue after the first migration. Repairs differences after a restore (which bypasses triggers) and
changes that the trigger missed. Remembers where it stopped, and starts over at the end.

Parameters:
  batch_size  how many profiles to compare, at least 1; else 22023

Returns {healed, done}:
  healed  how many queue rows were repaired
  done    false: the caller should go on, because the first pass, or the one after missed changes, is not
          complete; true: a page per sweep is enough. Also true, with healed 0, while another call runs$$;

commit;

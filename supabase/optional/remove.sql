-- Removes everything of this project from a database, once the stack is deleted (docs/deploy.md). Tokens,
-- users and profiles stay as they are; leases, marks, histories and the record of sent events go. Can be run
-- again.

begin;
set local lock_timeout = '2s';

drop trigger if exists spotify_auth_profile_inserted on public.profiles;
drop trigger if exists spotify_auth_profile_updated on public.profiles;
alter table public.profiles reset (fillfactor);

-- By name, because Bondhu may have its own functions that begin with spotify_.
drop function if exists
  public.spotify_reconcile(integer),
  public.spotify_check_connection(uuid, interval, interval),
  public.spotify_claim_due(integer, interval, interval, interval, double precision, timestamptz),
  public.spotify_record(jsonb),
  public.spotify_clear_dead_grants(interval, integer),
  public.spotify_restore_connections(timestamptz, integer),
  public.spotify_due_count(interval),
  public.spotify_connection_stats(),
  public.spotify_pending_events(integer),
  public.spotify_record_events(jsonb),
  public.spotify_finish_sweep(boolean),
  public.spotify_show_connection(uuid),
  public.spotify_explain_connection(uuid),
  public.spotify_find_user(text),
  public.spotify_count_restorable(timestamptz);

drop schema if exists spotify_auth cascade;

commit;

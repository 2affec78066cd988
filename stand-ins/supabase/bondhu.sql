-- A stand-in for Bondhu's own schema: public.profiles, wide, with its policies, triggers and grants. The real
-- one lives in Bondhu's repository. Local use and tests only. Applied by the owner role `postgres`.

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  full_name text,
  avatar_url text,

  personality_openness smallint,
  personality_conscientiousness smallint,
  personality_extraversion smallint,
  personality_agreeableness smallint,
  personality_neuroticism smallint,
  personality_data jsonb default '{}',
  personality_llm_context jsonb,
  preferences jsonb default '{}',
  onboarding_completed boolean default false,

  spotify_access_token text,
  spotify_refresh_token text,
  spotify_token_expires_at timestamptz,
  spotify_user_id text,
  spotify_user_email text,
  spotify_connected_at timestamptz,

  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

alter table public.profiles enable row level security;

create policy "Users can view own profile" on public.profiles
  for select using (auth.uid() = id);
create policy "Users can update own profile" on public.profiles
  for update using (auth.uid() = id);

grant all on public.profiles to authenticated, service_role;

create function public.set_updated_at() returns trigger
  language plpgsql
  as $$
begin
  new.updated_at = now();
  return new;
end;
$$;

create trigger set_profiles_updated_at
  before update on public.profiles
  for each row execute function public.set_updated_at();

create function public.create_profile_of_new_user() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
begin
  insert into public.profiles (id, full_name, avatar_url)
  values (new.id, new.raw_user_meta_data ->> 'full_name', new.raw_user_meta_data ->> 'avatar_url');
  return new;
end;
$$;

create trigger create_profile_of_new_user
  after insert on auth.users
  for each row execute function public.create_profile_of_new_user();

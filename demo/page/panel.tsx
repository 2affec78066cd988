import { useEffect, useState } from 'react';
import type { DatabaseCondition, Snapshot, SpotifyCondition } from '../live-view-events.ts';
import type { DemoClient } from './demo-client.ts';

const ACTIONS = [
  {
    action: 'expire-token',
    label: 'Expire my token',
    hint: 'An hour has passed and your token has run out. Reload: it is refreshed before you notice. Or sweep.',
  },
  {
    action: 'six-months',
    label: 'Let six months pass',
    hint: 'Spotify’s six months are over. Check again or reload: you are asked to reconnect, once.',
  },
  {
    action: 'revoke-grant',
    label: 'Revoke my grant',
    hint: 'Revoked at Spotify. Your token lives until it runs out: expire it too, then check again.',
  },
] as const;

const SPOTIFY: readonly { condition: SpotifyCondition; label: string; hint: string }[] = [
  { condition: 'up', label: 'up', hint: 'Spotify is back. What has backed off is asked again soon.' },
  {
    condition: 'down',
    label: 'down',
    hint: 'Spotify answers 503. Expire your token and reload: nobody is told to reconnect.',
  },
  {
    condition: 'rate-limited',
    label: 'limits the rate',
    hint: 'Spotify answers 429. After the first one, nobody calls it until it says so.',
  },
];

const DATABASE: readonly { condition: DatabaseCondition; label: string; hint: string }[] = [
  { condition: 'up', label: 'up', hint: 'Supabase is back.' },
  {
    condition: 'down',
    label: 'down',
    hint: 'Supabase answers 503. Reload: what was known last still stands on the page.',
  },
];

const TOKEN_USES = {
  accepted: 'Spotify accepts the stored token: every service that reads it can work.',
  refused: 'Spotify refuses the stored token: it has run out. Reload or sweep, then try again.',
  'no-token': 'No token is stored.',
} as const;

/** Lets a person play with time and faults. */
export function Panel({
  demo,
  isSignedIn,
  snapshot,
}: {
  readonly demo: DemoClient;
  readonly isSignedIn: boolean;
  readonly snapshot: Snapshot | null;
}) {
  const [hint, setHint] = useState('');

  /** Does something and then says what to look at, or what went wrong. @returns whether it worked */
  async function attempt(action: () => Promise<string>): Promise<boolean> {
    try {
      setHint(await action());
      return true;
    } catch (error) {
      setHint(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  return (
    <section className="card panel" aria-labelledby="panel-heading">
      <h2 id="panel-heading">Play with time and faults</h2>
      <fieldset disabled={!isSignedIn}>
        <legend>Your connection</legend>
        <div className="row">
          {ACTIONS.map(({ action, label, hint: next }) => (
            <button
              key={action}
              type="button"
              onClick={() => attempt(() => demo.act(action).then(() => next))}
            >
              {label}
            </button>
          ))}
          <button type="button" onClick={() => attempt(async () => TOKEN_USES[await demo.tryToken()])}>
            Try my token
          </button>
        </div>
      </fieldset>
      <Switch
        name="Spotify"
        options={SPOTIFY}
        current={snapshot?.spotify}
        isDisabled={!isSignedIn}
        onChoose={({ condition, hint: next }) => attempt(() => demo.setSpotify(condition).then(() => next))}
      />
      <Switch
        name="Supabase"
        options={DATABASE}
        current={snapshot?.database}
        isDisabled={!isSignedIn}
        onChoose={({ condition, hint: next }) => attempt(() => demo.setDatabase(condition).then(() => next))}
      />
      <fieldset disabled={!isSignedIn}>
        <legend>Sweeper</legend>
        <button
          type="button"
          onClick={() =>
            attempt(() =>
              demo
                .act('sweep')
                .then(() => 'The sweep refreshes what would not outlive the next one: see below.'),
            )
          }
        >
          Sweep now
        </button>
        {snapshot?.isSweeping && <span className="note"> sweeping…</span>}
      </fieldset>
      <p className="hint" role="status">
        {isSignedIn ? hint : 'Sign in first: what is done here is done to your connection.'}
      </p>
    </section>
  );
}

function Switch<Option extends { readonly condition: string; readonly label: string }>({
  name,
  options,
  current,
  isDisabled,
  onChoose,
}: {
  readonly name: string;
  readonly options: readonly Option[];
  /** Undefined: not known yet. */
  readonly current: string | undefined;
  readonly isDisabled: boolean;
  /** @returns whether it worked */
  readonly onChoose: (option: Option) => Promise<boolean>;
}) {
  // Shown from the click until the live view tells how it is.
  const [chosen, setChosen] = useState<string | undefined>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: its change is what this waits for
  useEffect(() => setChosen(undefined), [current]);

  async function choose(option: Option) {
    setChosen(option.condition);
    if (!(await onChoose(option))) setChosen(undefined);
  }

  return (
    <fieldset disabled={isDisabled} className="switch">
      <legend>{name}</legend>
      {options.map((option) => (
        <label key={option.condition}>
          <input
            type="radio"
            name={name}
            checked={option.condition === (chosen ?? current)}
            onChange={() => choose(option)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}

import { useEffect, useState } from 'react';
import type { DatabaseCondition, Snapshot, SpotifyCondition } from '../live-view-events.ts';
import type { DemoClient } from './demo-client.ts';
import type { DemoError } from './failures.ts';

const ACTIONS = [
  {
    action: 'expire-token',
    label: 'Expire my token',
    hint: 'An hour has passed and your token has expired. Reload the page to see what happens.',
  },
  {
    action: 'six-months',
    label: 'Let six months pass',
    hint: 'Your six months at Spotify are over. Check again to see what happens.',
  },
  {
    action: 'revoke-grant',
    label: 'Revoke my grant',
    hint: 'Revoked at Spotify. Your token works until it expires: expire it too, then check again.',
  },
] as const;

const SPOTIFY: readonly { condition: SpotifyCondition; label: string; hint: string }[] = [
  { condition: 'up', label: 'up', hint: 'Spotify is back. Refreshes that failed are tried again soon.' },
  {
    condition: 'down',
    label: 'down',
    hint: 'Spotify answers 503. Expire a token and reload: the user stays connected.',
  },
  {
    condition: 'rate-limited',
    label: 'rate-limits (429)',
    hint: 'Spotify answers 429. The first such answer pauses all calls until Retry-After has passed.',
  },
];

const DATABASE: readonly { condition: DatabaseCondition; label: string; hint: string }[] = [
  { condition: 'up', label: 'up', hint: 'Supabase is back.' },
  {
    condition: 'down',
    label: 'down',
    hint: 'Supabase answers 503. Reload the page: it shows the last known state.',
  },
];

const TOKEN_USES = {
  accepted: 'Spotify accepts the stored token. Every service that reads it works.',
  refused: 'Spotify refuses the stored token: it has expired. Reload or sweep, then try again.',
  'no-token': 'No token is stored.',
} as const;

const SWEEP_HINT = 'A sweep looks for tokens that would expire before the next one. The result is below.';

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

  /** Does something, and then says what to look at or what went wrong. @returns whether it worked */
  async function attempt(action: () => Promise<string>): Promise<boolean> {
    try {
      setHint(await action());
      return true;
    } catch (error) {
      setHint((error as DemoError).message);
      return false;
    }
  }

  return (
    <section className="card panel" aria-labelledby="panel-heading">
      <h2 id="panel-heading">Play with time and faults</h2>
      <div className="controls">
        <fieldset disabled={!isSignedIn}>
          <legend>Your connection{!isSignedIn && ', once you are signed in'}</legend>
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
        </fieldset>
        <Switch
          name="Spotify"
          options={SPOTIFY}
          current={snapshot?.spotify}
          onChoose={({ condition, hint: next }) => attempt(() => demo.setSpotify(condition).then(() => next))}
        />
        <fieldset>
          <legend>Sweeper</legend>
          <button type="button" onClick={() => attempt(() => demo.sweep().then(() => SWEEP_HINT))}>
            Sweep now
          </button>
        </fieldset>
        <Switch
          name="Supabase"
          options={DATABASE}
          current={snapshot?.database}
          onChoose={({ condition, hint: next }) =>
            attempt(() => demo.setDatabase(condition).then(() => next))
          }
        />
      </div>
      <p className="hint" role="status">
        {hint}
      </p>
    </section>
  );
}

function Switch<Option extends { readonly condition: string; readonly label: string }>({
  name,
  options,
  current,
  onChoose,
}: {
  readonly name: string;
  readonly options: readonly Option[];
  /** Undefined: not known yet. */
  readonly current: string | undefined;
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
    <fieldset className="switch">
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

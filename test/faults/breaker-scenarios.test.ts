import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type Postgres,
  settingsWithoutDurability,
  startPostgres,
} from '../../stand-ins/supabase/postgres.ts';
import {
  type BreakerSimulation,
  BreakerSimulations,
  type Findings,
  type Population,
} from './breaker-simulation.ts';
import { formatScenarios, type ScenarioRow } from './breaker-table.ts';
import { isLongRun } from './run-length.ts';

const HOUR = 60;
const DAY = 24 * HOUR;
const SWEEP_INTERVAL = 30;

/** Half of a sweep has asked by then. */
const MIDDLE_OF_A_SWEEP = 2.5;

const MILLION = 1_000_000;
const DEAD_PERCENT = 30;
/** Just above the share that is believed after all: the hardest to tell from users who revoke. */
const WAVE_PERCENT = 5;
const TIMEOUT_MILLISECONDS = isLongRun ? 1_800_000 : 120_000;

/** What the short run leaves out. */
const inLongRun = <Case>(...cases: readonly Case[]): readonly Case[] => (isLongRun ? cases : []);

/** So many that shares of them decide, and not the least numbers that the breaker knows. */
const MANY = isLongRun ? 10_000 : 2_000;

const rows: ScenarioRow[] = [];
let postgres: Postgres;
let simulations: BreakerSimulations;
let million: Promise<MillionFindings>;

type MillionFindings = { readonly dayOne: Findings; readonly wave: Findings };

beforeAll(async () => {
  postgres = await startPostgres({
    // A million connections and their log may need more room than there is.
    inMemory: !isLongRun,
    settings: { ...settingsWithoutDurability, shared_buffers: '512MB', max_wal_size: '8GB' },
  });
  simulations = new BreakerSimulations(postgres);
  if (isLongRun) {
    // Beside everything else: it takes as long as all of that together. Its tests come last.
    million = simulateMillion();
    million.catch(() => {});
  }
});

afterAll(async () => {
  await postgres.stop();
  process.stdout.write(`\n${formatScenarios(rows)}\n`);
});

/** Plays a scenario in a database of its own; what it returns is what came of it. */
async function play(
  scenario: string,
  population: Population,
  users: number,
  act: (simulation: BreakerSimulation) => Promise<void>,
): Promise<Findings> {
  const simulation = await simulations.create(population, users);
  try {
    await act(simulation);
    return keep(scenario, users, await simulation.findings());
  } finally {
    await simulation.remove();
  }
}

/** In the short run few users call while nothing changes: most of the time goes into their calls. */
async function sweepThroughCalm(
  simulation: BreakerSimulation,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  if (isLongRun || to <= from) return;
  await simulation.sweepUntil(from);
  await simulation.callEvery(HOUR);
  await simulation.sweepUntil(to);
  await simulation.callEvery(5);
}

function keep(scenario: string, users: number, findings: Findings): Findings {
  rows.push({ scenario, users, findings });
  return findings;
}

function expectSilence({ breaker, sweeps }: Findings): void {
  expect({ breaker, sweeps }).toMatchObject({
    breaker: { openings: 0 },
    sweeps: { breaker_open: 0, nearly_all_revoked: 0 },
  });
}

function expectNobodyWronglyTold({ living, not_connected }: Findings): void {
  expect({ living, not_connected }).toMatchObject({ living: { marked: 0, told: 0 }, not_connected: 0 });
}

/** Whatever happens, a status call says what is so, or that it cannot be known. */
function expectHonestStatusCalls({ status }: Findings): void {
  expect(status.calls).toBeGreaterThan(0);
  expect(status).toMatchObject({ wrong: 0, unexplained: 0 });
}

describe('day one: this system has refreshed no one yet, and some grants have been dead for weeks', () => {
  test.each([
    { users: 100, percent: 5 },
    { users: 100, percent: 30 },
    { users: MANY, percent: 30 },
    ...inLongRun({ users: MANY, percent: 0.2 }, { users: MANY, percent: 5 }),
  ])(
    '$percent % of $users: the dead are told in the first sweep, the others connected, no alarm',
    async ({ users, percent }) => {
      const dead = (users * percent) / 100;
      // Beyond the day after which marks are verified, where that does not take long.
      const end = users === 100 || isLongRun ? 27 * HOUR : 2 * HOUR;

      const findings = await play(`day one, ${percent} % dead`, 'day one', users, async (simulation) => {
        await beginDayOne(simulation, dead);
        await sweepThroughCalm(simulation, { from: 2 * HOUR, to: end - 2 * HOUR });
        await simulation.sweepUntil(end);
      });

      expectGoodDayOne(findings, dead);
    },
    TIMEOUT_MILLISECONDS,
  );
});

async function beginDayOne(simulation: BreakerSimulation, dead: number): Promise<void> {
  // Half of them by their age, half of them by their users.
  const expired = Math.floor(dead / 2);
  await simulation.expireGrants({ from: 1, to: expired }, `-${14 * DAY} - random() * ${30 * DAY}`);
  await simulation.revokeGrants({ from: expired + 1, to: dead }, `-${14 * DAY}`);
  await simulation.letTokensBeLongRunOut({ from: 1, to: dead });
  await simulation.letUsersCall();
}

function expectGoodDayOne(findings: Findings, dead: number): void {
  expect(findings.dead).toMatchObject({ refused: dead, untold: 0 });
  expect(findings.dead.last_told_at).toBeLessThanOrEqual(SWEEP_INTERVAL);
  expect(findings.living.run_out_longest).toBeLessThanOrEqual(SWEEP_INTERVAL);
  expectNobodyWronglyTold(findings);
  expectSilence(findings);
  expectHonestStatusCalls(findings);
}

describe('day one with the credentials of another app', () => {
  test.each([
    { users: 100, hours: 1.4 },
    // Longer than the patience of a day.
    { users: 100, hours: 36 },
    ...inLongRun({ users: 10_000, hours: 1.4 }, { users: 10_000, hours: 36 }),
  ])(
    'none of $users is marked in $hours h, it is noticed, and all are connected once it is fixed',
    async ({ users, hours }) => {
      const end = hours * HOUR;
      let firstSweep: Findings['sweeps'] | undefined;

      const findings = await play(
        `another app's credentials, ${hours} h`,
        'day one',
        users,
        async (simulation) => {
          await simulation.refuseFalsely({ from: 1, to: users }, { begin: -1, end }, 'invalid');
          await simulation.letUsersCall();
          await simulation.sweepUntil(SWEEP_INTERVAL);
          firstSweep = (await simulation.findings()).sweeps;
          await sweepThroughCalm(simulation, { from: 2 * HOUR, to: end - 2 * HOUR });
          await simulation.sweepUntil(end);
          await simulation.sweepUntilAllIsWell(end + 6 * HOUR);
        },
      );

      expect(firstSweep).toMatchObject({ sweeps: 1, nearly_all_revoked: 1 });
      expect(findings.living.refused).toBe(users);
      // The first four, of whom users ask before any sweep, are marked, and unmarked with the fifth: no user is told.
      expect(findings).toMatchObject({ living: { told: 0 }, not_connected: 0 });
      expect(findings.living.marked).toBeLessThanOrEqual(4);
      expect(findings.living.recovered_after).toBeLessThanOrEqual(SWEEP_INTERVAL + 30);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );
});

describe('steady state: Spotify wrongly refuses some', () => {
  const wave = (users: number, percent: number, minutes: number) => ({ users, percent, minutes });
  const everyWave = (users: number) =>
    [1, 5, 30, 100].flatMap((percent) => [5, 2 * HOUR, 12 * HOUR].map((time) => wave(users, percent, time)));

  test.each(
    isLongRun
      ? [...everyWave(100), ...everyWave(MANY)]
      : [...everyWave(100).filter(({ minutes }) => minutes <= 2 * HOUR), wave(MANY, 5, 5)],
  )(
    '$percent % of $users for $minutes min: few are told to reconnect, and afterwards all are connected',
    async ({ users, percent, minutes }) => {
      const findings = await play(
        `${percent} % wrongly refused for ${minutes} min`,
        'steady state',
        users,
        (simulation) => refuseAndRecover(simulation, (users * percent) / 100, minutes),
      );

      expectFewTold(findings, users, percent);
      expectRecovery(findings, minutes);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );
});

async function refuseAndRecover(
  simulation: BreakerSimulation,
  count: number,
  minutes: number,
  first = 1,
): Promise<void> {
  const end = MIDDLE_OF_A_SWEEP + minutes;
  await simulation.refuseFalsely(
    { from: first, to: first + count - 1 },
    { begin: MIDDLE_OF_A_SWEEP, end },
    'revoked',
  );
  await simulation.letUsersCall();
  await simulation.sweepUntil(end);
  await simulation.sweepUntilAllIsWell(end + 6 * HOUR);
}

function expectFewTold({ living }: Findings, users: number, percent: number): void {
  const isSeenAtOnce = users >= MANY && percent >= 5;
  expect(living.told).toBeLessThanOrEqual(isSeenAtOnce ? 0 : Math.max(4, users / 100));
}

/** A mark is verified when it has stood for an hour, then when it is a quarter older, by the next sweep. */
function expectRecovery({ living, breaker, not_connected }: Findings, minutes: number): void {
  expect({ not_connected, is_open: breaker.is_open }).toEqual({ not_connected: 0, is_open: false });
  expect(living.recovered_after ?? 0).toBeLessThanOrEqual(Math.max(HOUR, minutes / 4) + SWEEP_INTERVAL + 10);
}

describe('steady state: users revoke', () => {
  test.each([
    { users: 100, days: 3, everyDays: 1 },
    ...inLongRun({ users: 100, days: 30, everyDays: 10 }, { users: 10_000, days: 3, everyDays: 1 }),
  ])(
    '0.1 % a day of $users, all within one interval, for $days days: each is told at the first refusal',
    async ({ users, days, everyDays }) => {
      const perBurst = Math.max(1, users / 1_000);
      const total = (days / everyDays) * perBurst;

      const findings = await play(
        `ordinary revocations, ${days} days`,
        'steady state',
        users,
        async (simulation) => {
          await simulation.revokeGrants(
            { from: 1, to: total },
            `((number - 1) / ${perBurst} * ${everyDays} + 0.4) * ${DAY} + random() * ${SWEEP_INTERVAL}`,
          );
          await simulation.letUsersCall(HOUR);
          await simulation.sweepUntil(days * DAY);
        },
      );

      expect(findings.dead).toMatchObject({ refused: total, untold: 0, told_late: 0 });
      expectNobodyWronglyTold(findings);
      expectSilence(findings);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );

  test.each([
    { users: 100, cohort: 10, removed: 3 },
    ...inLongRun({ users: 10_000, cohort: 10, removed: 3 }),
  ])(
    'waves that are true: of $users, $cohort % become six months old and $removed % remove the app within a day',
    async ({ users, cohort, removed }) => {
      const old = (users * cohort) / 100;
      const total = old + (users * removed) / 100;

      const findings = await play('true waves within a day', 'steady state', users, async (simulation) => {
        await simulation.expireGrants({ from: 1, to: old }, `random() * ${DAY}`);
        await simulation.revokeGrants(
          { from: old + 1, to: total },
          `least(-ln(1 - random()) * ${4 * HOUR}, ${DAY})`,
        );
        await simulation.letUsersCall();
        await simulation.sweepUntil(26 * HOUR);
      });

      expect(findings.dead).toMatchObject({ refused: total, untold: 0 });
      expect(findings.dead.told_after_longest).toBeLessThanOrEqual(HOUR);
      expectNobodyWronglyTold(findings);
      expectSilence(findings);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );

  test.each([{ users: 100, wave: 5 }, ...inLongRun({ users: 10_000, wave: 500 })])(
    'while it is open because Spotify wrongly refuses $wave of $users: three are told within an hour after that',
    async ({ users, wave }) => {
      const end = MIDDLE_OF_A_SWEEP + 2 * HOUR;

      const findings = await play(
        'three revoke while it is open',
        'steady state',
        users,
        async (simulation) => {
          await simulation.revokeGrants({ from: users - 2, to: users - 1 }, `${end - 10}`);
          await simulation.revokeGrants({ from: users, to: users }, `${end + 1}`);
          await refuseAndRecover(simulation, wave, 2 * HOUR);
          await simulation.sweepUntil(end + 3 * HOUR);
        },
      );

      expect(findings.breaker.openings).toBeGreaterThan(0);
      expect(findings.dead).toMatchObject({ refused: 3, untold: 0 });
      expect(findings.dead.last_told_at).toBeLessThanOrEqual(end + HOUR);
      expectFewTold(findings, users, 5);
      expectRecovery(findings, 2 * HOUR);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );

  test.each([{ users: MANY, revoked: MANY / 50 }])(
    '$revoked of $users within minutes: it opens wrongly, and closes by itself within the hour',
    async ({ users, revoked }) => {
      const findings = await play(
        `${revoked} revoke within minutes`,
        'steady state',
        users,
        async (simulation) => {
          await simulation.revokeGrants({ from: 1, to: revoked }, 'random() * 5');
          await simulation.letUsersCall();
          await simulation.sweepUntil(4 * HOUR);
        },
      );

      expect(findings.breaker).toMatchObject({ is_open: false });
      expect(findings.breaker.open_for ?? 0).toBeLessThanOrEqual(HOUR);
      expect(findings.dead).toMatchObject({ refused: revoked, untold: 0 });
      expect(findings.dead.told_after_longest).toBeLessThanOrEqual(HOUR);
      expectNobodyWronglyTold(findings);
      expectHonestStatusCalls(findings);
    },
    TIMEOUT_MILLISECONDS,
  );
});

describe('users who write anything into their own rows, as often as they like', () => {
  test.each([
    { users: 100, attackers: 4, everyMinutes: 1 },
    ...inLongRun({ users: 10_000, attackers: 99, everyMinutes: 1 }),
  ])(
    '$attackers of $users, whose grants this system refreshed and they then revoked, cannot open it',
    async ({ users, attackers, everyMinutes }) => {
      const other = attackers + 1;

      const findings = await play(
        `${attackers} attackers with grants`,
        'steady state',
        users,
        async (simulation) => {
          await simulation.revokeGrants({ from: 1, to: attackers }, '10');
          // Ends by its age: it does not help to open it.
          await simulation.expireGrants({ from: other, to: other }, '70');
          await simulation.letUsersAttack({ from: 1, to: attackers }, everyMinutes);
          await simulation.letUsersCall();
          await simulation.sweepUntil(4 * HOUR);
        },
      );

      expectUnharmed(findings);
    },
    TIMEOUT_MILLISECONDS,
  );

  test.each([
    { users: 100, attackers: 20, everyMinutes: 1 },
    ...inLongRun({ users: 10_000, attackers: 2_000, everyMinutes: 5 }),
  ])(
    '$attackers of $users, who never had a living grant and write every $everyMinutes min, cannot open it',
    async ({ users, attackers, everyMinutes }) => {
      const other = attackers + 1;

      const findings = await play(
        `${attackers} attackers without grants`,
        'day one',
        users,
        async (simulation) => {
          await simulation.disconnect({ from: 1, to: attackers });
          await simulation.settle();
          await simulation.revokeGrants({ from: other, to: other }, '70');
          await simulation.letUsersAttack({ from: 1, to: attackers }, everyMinutes);
          await simulation.letUsersCall();
          await simulation.sweepUntil(4 * HOUR);
        },
      );

      expectUnharmed(findings);
    },
    TIMEOUT_MILLISECONDS,
  );

  function expectUnharmed(findings: Findings): void {
    expectSilence(findings);
    expect(findings.dead).toMatchObject({ refused: 1, untold: 0, told_late: 0 });
    expect(findings.living.run_out_longest).toBe(0);
    expectNobodyWronglyTold(findings);
    expectHonestStatusCalls(findings);
  }
});

const describeInLongRun = isLongRun ? describe : () => {};

describeInLongRun('a million', () => {
  test(
    'of whom many have been dead for weeks on day one',
    async () => {
      const { dayOne } = await million;
      expectGoodDayOne(
        keep(`day one, ${DEAD_PERCENT} % dead`, MILLION, dayOne),
        (MILLION * DEAD_PERCENT) / 100,
      );
    },
    TIMEOUT_MILLISECONDS,
  );

  test(
    'of whom Spotify wrongly refuses some for two hours',
    async () => {
      const { wave } = await million;
      keep(`${WAVE_PERCENT} % wrongly refused for 120 min`, MILLION, wave);
      expectFewTold(wave, MILLION, WAVE_PERCENT);
      expectRecovery(wave, 2 * HOUR);
      expectHonestStatusCalls(wave);
    },
    TIMEOUT_MILLISECONDS,
  );
});

/** One story of a million, for each sweep of it takes minutes: its first day, and then a wave. */
async function simulateMillion(): Promise<MillionFindings> {
  const dead = (MILLION * DEAD_PERCENT) / 100;
  const simulation = await simulations.create('day one', MILLION);
  await beginDayOne(simulation, dead);
  await simulation.sweepUntil(SWEEP_INTERVAL);
  const dayOne = await simulation.findings();
  await simulation.settle();
  await simulation.beginScenario();
  await refuseAndRecover(simulation, ((MILLION - dead) * WAVE_PERCENT) / 100, 2 * HOUR, dead + 1);
  const wave = await simulation.findings();
  await simulation.remove();
  return { dayOne, wave };
}

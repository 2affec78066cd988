/**
 * The template's alarms over what the real functions and the services around them measure: each goes off while the
 * fault that it watches for is there, and is silent before and after.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { AlarmStack } from './alarm-stack.ts';

let stack: AlarmStack;

beforeAll(async () => {
  stack = await AlarmStack.start();
});

beforeEach(() => stack.startOver());

afterAll(() => stack.stop());

/** A fault, by the alarm that watches for it. */
interface Scenario {
  /** Lets it happen, until the alarm has seen enough of it. */
  readonly happens: () => Promise<void>;
  /** Other alarms that the same fault sets off. @default none */
  readonly alsoOn?: readonly string[];
  /** Puts it right. */
  readonly isPutRight: () => Promise<void> | void;
}

const scenarios: Readonly<Record<string, Scenario>> = {
  SweepFailed: {
    async happens() {
      await stack.test.stack.supabase.setFault({ kind: 'status', status: 503 });
      await stack.sweepOnSchedule();
    },
    alsoOn: ['SweepsInDeadLetterQueue'],
    async isPutRight() {
      await stack.test.stack.supabase.setFault(undefined);
      stack.takeEverythingOutOf('DeadLetterQueueUrl');
    },
  },

  NoScheduledSweepFinished: {
    async happens() {
      stack.letMinutesPass(60);
    },
    isPutRight() {},
  },

  TokensExpired: {
    async happens() {
      await stack.test.createDueConnections(3, { expiresInSeconds: -60 });
      stack.test.stack.spotify.setFault({ kind: 'status', status: 503 });
      await stack.sweepOnSchedule();
    },
    async isPutRight() {
      stack.test.stack.spotify.setFault(undefined);
      await stack.test.letHoursPass(1);
    },
  },

  BreakerOpen: {
    async happens() {
      // Grants that are known to have lived are evidence, and others have to be refreshed at the same time.
      await stack.test.createDueConnections(40);
      await stack.sweepOnSchedule();
      await stack.test.letHoursPass(0.7);
      stack.test.stack.spotify.setFault({ kind: 'error', error: 'invalid_grant', shareOfUsers: 0.5 });
      await stack.sweepOnSchedule();
      expect(await stack.test.usersToldToReconnect()).toEqual([]);
    },
    async isPutRight() {
      stack.test.stack.spotify.setFault(undefined);
      await stack.test.letHoursPass(1);
    },
  },

  NearlyAllGrantsRevoked: {
    async happens() {
      await stack.test.createDueConnections(8);
      stack.test.stack.spotify.setFault({ kind: 'error', error: 'invalid_grant' });
      await stack.sweepOnSchedule();
      expect(await stack.test.usersToldToReconnect()).toEqual([]);
    },
    async isPutRight() {
      stack.test.stack.spotify.setFault(undefined);
      await stack.test.letHoursPass(1);
    },
  },

  ClientRejected: {
    async happens() {
      await spoilSpotifySecret();
      await stack.test.createDueConnections(1);
      await stack.test.sweep();
    },
    async isPutRight() {
      await stack.fillIn('SpotifySecretArn', stack.test.stack.spotifyClient);
      await stack.test.sql('update spotify_auth.shared_state set not_before = null');
    },
  },

  SupabaseKeyRejected: {
    async happens() {
      const { jwtSecret } = stack.test.stack.supabase;
      await stack.fillIn('SupabaseSecretArn', { secret_key: 'sb_secret_revoked', jwt_secret: jwtSecret });
      const [userId = ''] = await stack.test.createDueConnections(1);
      expect(await stack.test.status(userId)).toMatchObject({ status: 503 });
    },
    async isPutRight() {
      const { secretKey, jwtSecret } = stack.test.stack.supabase;
      await stack.fillIn('SupabaseSecretArn', { secret_key: secretKey, jwt_secret: jwtSecret });
    },
  },

  SweepsInDeadLetterQueue: {
    async happens() {
      await stack.test.stack.supabase.setFault({ kind: 'status', status: 503 });
      await stack.sweepOnSchedule();
      await stack.test.stack.supabase.setFault(undefined);
      // It stays there, while the next sweeps finish.
      stack.letMinutesPass(60);
      await stack.sweepOnSchedule();
    },
    isPutRight: () => stack.takeEverythingOutOf('DeadLetterQueueUrl'),
  },

  RescuedTokensInDeadLetterQueue: {
    async happens() {
      const rescueQueue = stack.cloud.queues.all.find(({ logicalId }) =>
        /^RescueQueue[0-9A-F]{8}$/.test(logicalId),
      );
      rescueQueue?.send('sealed with a key that is lost');
      for (let sweeps = 0; sweeps < 11; sweeps += 1) {
        await stack.test.sweep();
        rescueQueue?.showAgain();
      }
    },
    isPutRight: () => stack.takeEverythingOutOf('RescueDeadLetterQueueArn'),
  },

  ProfilesRefuseTokens: {
    async happens() {
      const users = await stack.test.createDueConnections(3);
      await stack.test.sql(
        `alter table public.profiles add constraint is_frozen check (id <> '${users[0]}') not valid`,
      );
      await stack.sweepOnSchedule();
      expect(await stack.test.withoutFreshToken(users)).toEqual([users[0]]);
    },
    async isPutRight() {
      await stack.test.sql('alter table public.profiles drop constraint is_frozen');
      await stack.test.letHoursPass(0.2);
    },
  },

  ApiErrors: {
    async happens() {
      const [userId = ''] = await stack.test.createDueConnections(1, { expiresInSeconds: 3_000 });
      // An instance that starts without the keys of user tokens does without them for a while, also afterwards.
      await stack.test.status(userId);
      stack.letMinutesPass(5);
      await stack.test.stack.supabase.setFault({ kind: 'status', status: 503 });
      await forThreePeriods(async () => {
        expect(await stack.test.status(userId)).toMatchObject({ status: 503 });
      });
    },
    async isPutRight() {
      await stack.test.stack.supabase.setFault(undefined);
    },
  },

  StatusCallsThrottled: {
    async happens() {
      const [userId = ''] = await stack.test.createDueConnections(1, { expiresInSeconds: 3_000 });
      stack.cloud.lambda.limitConcurrency(0);
      expect(await stack.test.status(userId)).toMatchObject({ status: 500 });
    },
    isPutRight: () => stack.cloud.lambda.limitConcurrency(1_000),
  },

  SweepsThrottled: {
    async happens() {
      stack.cloud.lambda.limitConcurrency(0);
      expect(await stack.test.sweep()).toMatchObject({ functionError: 'Unhandled' });
    },
    isPutRight: () => stack.cloud.lambda.limitConcurrency(1_000),
  },

  ApiLatency: {
    async happens() {
      stack.test.stack.spotify.configure({ latencyMillis: 3_200 });
      await forThreePeriods(async () => {
        const [userId = ''] = await stack.test.createDueConnections(1, { expiresInSeconds: -60 });
        expect(await stack.test.status(userId)).toMatchObject({ body: { connected: true } });
      });
    },
    isPutRight() {
      stack.test.stack.spotify.configure({ latencyMillis: 0 });
    },
  },

  EventsNotSent: {
    async happens() {
      await stack.test.createDueConnections(1, { authorizedAt: monthsAgo(5.5) });
      stack.cloud.eventBridge.makeTrouble({ isThrottling: true });
      await stack.sweepOnSchedule();
      stack.letMinutesPass(30);
      await stack.sweepOnSchedule();
    },
    isPutRight: () => stack.cloud.eventBridge.makeTrouble({}),
  },
};

describe('every alarm is silent, goes off while the fault is there, and is silent again', () => {
  test('every alarm of the template is among them', () => {
    expect(Object.keys(scenarios).sort()).toEqual(stack.alarms.sort());
  });

  test.each(Object.entries(scenarios))('%s', async (alarm, { happens, alsoOn = [], isPutRight }) => {
    expect(stack.alarmsThatAreOn()).toEqual([]);

    await happens();
    expect(stack.alarmsThatAreOn()).toEqual([alarm, ...alsoOn].sort());

    await isPutRight();
    await passTwoHours();
    expect(stack.alarmsThatAreOn()).toEqual([]);
  });
});

describe('NoScheduledSweepFinished', () => {
  test('is silent for 44 minutes after a sweep, and not for an hour', async () => {
    stack.letMinutesPass(44);
    expect(stack.alarmsThatAreOn()).toEqual([]);

    stack.letMinutesPass(16);
    expect(stack.alarmsThatAreOn()).toEqual(['NoScheduledSweepFinished']);
  });

  test('is on although sweeps by hand finish, and helpers of sweeps', async () => {
    stack.letMinutesPass(60);
    const wakeUp = { scheduledAt: new Date().toISOString(), ageSeconds: 1, link: 0 };
    const message = {
      eventSource: 'aws:sqs',
      body: JSON.stringify(wakeUp),
      attributes: { SentTimestamp: '1', ApproximateFirstReceiveTimestamp: '2' },
    };
    for (const event of [{ command: 'sweep' }, { Records: [message] }]) {
      expect(await stack.test.sweep(event)).toMatchObject({ result: { status: 'completed' } });
    }

    expect(stack.alarmsThatAreOn()).toEqual(['NoScheduledSweepFinished']);
  });

  test('is on although a scheduled sweep ran, when Spotify refused our client', async () => {
    stack.letMinutesPass(60);
    await spoilSpotifySecret();
    await stack.test.createDueConnections(1);
    const sweep = await stack.test.sweep({
      command: 'sweep',
      scheduledAt: new Date().toISOString(),
    });

    expect(sweep).toMatchObject({ functionError: 'Unhandled' });
    expect(stack.alarmsThatAreOn()).toEqual(['ClientRejected', 'NoScheduledSweepFinished']);
  });
});

describe('an alarm on a gauge', () => {
  test('stays on from one sweep to the next', async () => {
    await scenarios['TokensExpired']?.happens();
    expect(stack.alarmsThatAreOn()).toEqual(['TokensExpired']);

    stack.letMinutesPass(29);
    expect(stack.alarmsThatAreOn()).toEqual(['TokensExpired']);
  });
});

describe('no alarm goes off', () => {
  test('by an hour in which all is well', async () => {
    const [userId = ''] = await stack.test.createDueConnections(5);
    for (let minutes = 0; minutes < 60; minutes += 5) {
      if (minutes % 30 === 0) await stack.sweepOnSchedule();
      expect(await stack.test.status(userId)).toMatchObject({ status: 200, body: { connected: true } });
      expect(stack.alarmsThatAreOn()).toEqual([]);
      stack.letMinutesPass(5);
      await stack.test.letHoursPass(5 / 60);
    }
    expect(stack.test.stack.spotify.calls.length).toBeGreaterThan(5);
  });

  test('between a deployment and the filling of the secrets, however long that takes', async () => {
    await stack.emptySecrets();
    for (let hours = 0; hours < 2; hours += 1) {
      await stack.sweepOnSchedule();
      expect(stack.alarmsThatAreOn()).toEqual([]);
      stack.letMinutesPass(30);
    }
    expect(stack.test.logLines.filter((line) => line.includes('waiting for secrets'))).toHaveLength(2);
    const { queues, template } = stack.cloud;
    expect(queues.get(template.outputs['DeadLetterQueueUrl'] ?? '').messages).toEqual([]);
  });

  test('by a sweep that fails and succeeds at its first retry', async () => {
    await stack.test.createDueConnections(1);
    await stack.test.stack.supabase.setFault({ kind: 'status', status: 503, of: 'spotify_due_count' });
    const sweep = stack.sweepOnSchedule();
    await stack.untilErrors(1);
    await stack.test.stack.supabase.setFault(undefined);
    await sweep;

    expect(await stack.test.dueCount()).toBe(0);
    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by two users whose tokens cannot be refreshed', async () => {
    await stack.test.createDueConnections(2, { expiresInSeconds: -60 });
    stack.test.stack.spotify.setFault({ kind: 'status', status: 503 });
    await stack.sweepOnSchedule();

    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by two users who revoke', async () => {
    await stack.test.createDueConnections(2);
    stack.test.stack.spotify.setFault({ kind: 'error', error: 'invalid_grant' });
    await stack.sweepOnSchedule();

    expect(await stack.test.usersToldToReconnect()).toHaveLength(2);
    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by Spotify asking to wait', async () => {
    await stack.test.createDueConnections(5);
    stack.test.stack.spotify.setFault({ kind: 'status', status: 429, retryAfter: '600' });
    await stack.sweepOnSchedule();

    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by requests that are refused', async () => {
    await forThreePeriods(async () => {
      expect(await stack.test.status('not-a-uuid')).toMatchObject({ status: 400 });
      expect(await stack.test.request('/nothing/here')).toMatchObject({ status: 404 });
    });

    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by five minutes without Supabase', async () => {
    const [userId = ''] = await stack.test.createDueConnections(1, { expiresInSeconds: 3_000 });
    const ask = () => stack.test.status(userId);
    await ask();
    stack.letMinutesPass(5);
    await stack.test.stack.supabase.setFault({ kind: 'status', status: 503 });
    expect(await ask()).toMatchObject({ status: 503 });
    stack.letMinutesPass(5);
    await stack.test.stack.supabase.setFault(undefined);
    await ask();

    expect(stack.alarmsThatAreOn()).toEqual([]);
  });

  test('by events that a bus took at the second sweep only', async () => {
    const [userId] = await stack.test.createDueConnections(1, { authorizedAt: monthsAgo(5.5) });
    stack.cloud.eventBridge.makeTrouble({ isFailing: true });
    await stack.sweepOnSchedule();
    stack.letMinutesPass(30);
    stack.cloud.eventBridge.makeTrouble({});
    await stack.sweepOnSchedule();

    expect(stack.cloud.eventBridge.events.at(-1)).toMatchObject({ detail: { user_id: userId } });
    expect(stack.alarmsThatAreOn()).toEqual([]);
  });
});

test('a status call alone makes a refused client known', async () => {
  await spoilSpotifySecret();
  const [userId = ''] = await stack.test.createDueConnections(1, { expiresInSeconds: -60 });
  expect(await stack.test.status(userId)).toMatchObject({ body: { retryable: true } });

  expect(stack.alarmsThatAreOn()).toEqual(['ClientRejected']);
});

async function spoilSpotifySecret(): Promise<void> {
  await stack.fillIn('SpotifySecretArn', {
    ...stack.test.stack.spotifyClient,
    client_secret: 'rotated-at-spotify-but-not-here',
  });
}

/** Long enough for what was to be out of sight, with the sweeps that belong there. */
async function passTwoHours(): Promise<void> {
  for (let sweeps = 0; sweeps < 4; sweeps += 1) {
    stack.letMinutesPass(30);
    await stack.sweepOnSchedule();
  }
}

async function forThreePeriods(happens: () => Promise<void>): Promise<void> {
  for (let periods = 0; periods < 3; periods += 1) {
    if (periods > 0) stack.letMinutesPass(5);
    await happens();
  }
}

function monthsAgo(months: number): string {
  return new Date(Date.now() - months * 30.4 * 24 * 60 * 60 * 1_000).toISOString();
}

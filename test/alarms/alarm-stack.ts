import { setTimeout as sleep } from 'node:timers/promises';
import { TestStack } from '../e2e/test-stack.ts';

/** Too little for a sweep to wait for connections that back off. */
const SWEEPER_TIMEOUT_SECONDS = 40;

/** Longer than the longest look back of an alarm. */
const A_DAY_IN_MINUTES = 24 * 60;

type SecretOutput = 'SpotifySecretArn' | 'SupabaseSecretArn';

/** The running stack with its alarms, and short words for what their tests do with it. */
export class AlarmStack {
  readonly test: TestStack;
  /** The secrets' values, by the output that names them. */
  readonly #secretValues = new Map<SecretOutput, string>();

  private constructor(test: TestStack) {
    this.test = test;
  }

  static async start(): Promise<AlarmStack> {
    const test = await TestStack.start({
      sweeperTimeoutSeconds: SWEEPER_TIMEOUT_SECONDS,
      retryDelaysInSeconds: [0.1, 0.1],
    });
    return new AlarmStack(test);
  }

  async stop(): Promise<void> {
    await this.test.stop();
  }

  get cloud() {
    return this.test.stack.cloud;
  }

  /** All alarms of the template, by what follows the stack's name in theirs. */
  get alarms(): string[] {
    return [...this.cloud.cloudWatch.alarmStates.keys()].map((name) => this.#shorten(name));
  }

  /** No user is connected, everything works, and a day has passed since anything before: no alarm is on. */
  async startOver(): Promise<void> {
    const { spotify, spotifyClient, supabase } = this.test.stack;
    await this.fillIn('SpotifySecretArn', spotifyClient);
    await this.fillIn('SupabaseSecretArn', {
      secret_key: supabase.secretKey,
      jwt_secret: supabase.jwtSecret,
    });
    spotify.setFault(undefined);
    spotify.configure({ latencyMillis: 0 });
    await supabase.setFault(undefined);
    this.cloud.eventBridge.makeTrouble({});
    await this.test.sql('delete from auth.users');
    await this.test.letHoursPass(24);
    await this.test.sql('update spotify_auth.shared_state set not_before = null, breaker_opened_at = null');
    this.takeEverythingOutOf('DeadLetterQueueUrl');
    this.takeEverythingOutOf('RescueDeadLetterQueueArn');
    this.letMinutesPass(A_DAY_IN_MINUTES);
    await this.sweepOnSchedule();
  }

  /** For all metrics. No token gets any older. */
  letMinutesPass(minutes: number): void {
    this.cloud.cloudWatch.letMinutesPass(minutes);
  }

  /** Evaluates the alarms at the end of the minute that has begun. @returns those that are on */
  alarmsThatAreOn(): string[] {
    const { cloudWatch } = this.cloud;
    cloudWatch.evaluateAlarms(new Date(Date.now() + 60_000));
    return [...cloudWatch.alarmStates]
      .filter(([, state]) => state === 'ALARM')
      .map(([name]) => this.#shorten(name))
      .sort();
  }

  /** Runs a sweep as the schedule starts it, with the retries of one that fails. */
  async sweepOnSchedule(): Promise<void> {
    const [schedule] = this.cloud.template.resourcesOfType('AWS::Scheduler::Schedule');
    await this.cloud.invokeAsync(schedule?.properties.Target.Arn ?? '', {
      command: 'sweep',
      scheduledAt: new Date().toISOString(),
    });
  }

  /** Waits until so many invocations of the sweeper have failed lately. */
  async untilErrors(count: number): Promise<void> {
    const { cloudWatch, template } = this.cloud;
    const metric = {
      namespace: 'AWS/Lambda',
      name: 'Errors',
      dimensions: { FunctionName: template.outputs['SweeperFunctionName'] ?? '' },
    };
    const errors = () =>
      cloudWatch.metrics
        .valuesOf(metric, Date.now() - 60_000, Number.POSITIVE_INFINITY)
        .filter((value) => value > 0);
    while (errors().length < count) await sleep(10);
  }

  /** Writes a secret, unless that is its value, and ends the processes that have read another one. */
  async fillIn(output: SecretOutput, content: object): Promise<void> {
    const value = JSON.stringify(content);
    if (this.#secretValues.get(output) === value) return;
    const { secretsManager, template, lambda } = this.cloud;
    secretsManager.putSecretValue(template.outputs[output] ?? '', value);
    this.#secretValues.set(output, value);
    await lambda.stopIdleEnvironments();
  }

  /** Empties both secrets, as a deployment creates them, and ends the processes that have read them. */
  async emptySecrets(): Promise<void> {
    const { secretsManager, template, lambda } = this.cloud;
    for (const output of ['SpotifySecretArn', 'SupabaseSecretArn']) {
      secretsManager.clearSecretValue(template.outputs[output] ?? '');
    }
    this.#secretValues.clear();
    await lambda.stopIdleEnvironments();
  }

  /** What an operator does with messages that are no longer needed. @param output that names the queue */
  takeEverythingOutOf(output: 'DeadLetterQueueUrl' | 'RescueDeadLetterQueueArn'): void {
    const queue = this.cloud.queues.get(this.cloud.template.outputs[output] ?? '');
    queue.showAgain();
    for (const { receiptHandle } of queue.receive(queue.messages.length)) queue.delete(receiptHandle);
  }

  #shorten(name: string): string {
    return name.slice(this.cloud.template.stackName.length + 1);
  }
}

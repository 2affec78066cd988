import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setInterval } from 'node:timers';
import { type AlarmChange, loadTemplate } from 'cdk-out-local';
import { type Demo, startDemo } from '../demo/demo-server.ts';
import { readLogLine } from '../demo/log-line.ts';
import { describeEmptySecrets } from './empty-secrets.ts';
import { removeAbandonedFolders } from './leftovers.ts';
import { watchSources } from './live-sources.ts';
import { formatLogLine } from './log-line.ts';
import { readOptions, type StartOptions, USAGE } from './options.ts';
import { checkRequirements } from './preflight.ts';
import { describeReady, filesFor } from './ready.ts';
import { type Stack, startStack } from './stack.ts';
import { StateFile } from './state-file.ts';
import { LOCAL_FOLDER, synthesize } from './synthesize.ts';

/** CloudWatch's own interval. */
const ALARM_EVALUATION_MILLISECONDS = 60_000;

/** A signal this much later than the first is deliberate: shutdown hangs, so the process exits at once. */
const IMPATIENCE_MILLISECONDS = 2_000;

const startedAt = performance.now();

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printProgress(line: string): void {
  print(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
}

/**
 * Listens for every way to stop this process. Each may arrive more than once: in a terminal, Ctrl-C
 * sends SIGINT to all processes, and npm forwards it as well.
 */
function listenForTheEnd(): AbortSignal {
  const end = new AbortController();
  let endedAt = 0;
  const request = () => {
    if (!end.signal.aborted) {
      endedAt = performance.now();
      end.abort();
    } else if (performance.now() - endedAt > IMPATIENCE_MILLISECONDS) {
      process.exit(1);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, request);
  // The reader of the output is gone: the terminal was closed, or the other end of a pipe.
  process.stdout.on('error', () => end.abort());
  end.signal.addEventListener('abort', () => print('\nStopping...'));
  return end.signal;
}

/** Starts everything, and resolves once it was asked to stop and has stopped. */
async function run(options: StartOptions, end: AbortSignal): Promise<void> {
  const temporaryDirectory = tmpdir();
  await checkRequirements({
    requestedPorts: options.requestedPorts,
    temporaryDirectory,
    stateDirectory: LOCAL_FOLDER,
  });
  const stateFile = new StateFile(LOCAL_FOLDER);
  await tidyUp(stateFile, temporaryDirectory);

  let stack: Stack | undefined;
  let demo: Demo | undefined;
  const onLog = (source: string, line: string) => {
    // During shutdown, functions end as if they had crashed.
    if (end.aborted) return;
    demo?.log(source, line);
    if (options.isJson) return print(line);
    const entry = readLogLine(source, line, (userId) => stack?.supabase.nameOf(userId) ?? userId);
    if (entry) print(formatLogLine(entry));
  };
  await using running = new AsyncDisposableStack();
  stack = await startStack({ ...options, onProgress: printProgress, onLog, signal: end });
  const { cloud, stop } = stack;
  running.defer(stop);
  const alarmWatch = setInterval(() => {
    for (const change of cloud.cloudWatch.evaluateAlarms(new Date())) {
      if ([change.from, change.to].includes('ALARM')) onLog('CloudWatch', describeChange(change));
    }
  }, ALARM_EVALUATION_MILLISECONDS);
  running.defer(() => clearInterval(alarmWatch));

  printProgress('Bundling the demo page');
  demo = await startDemo(stack, options.ports.demo);
  running.defer(demo.stop);
  running.defer(() => stateFile.release());
  const isInStateFile = await stateFile.claim(
    {
      demoUrl: demo.url,
      apiUrl: cloud.apiUrl,
      supabaseUrl: stack.supabase.url,
      supabasePublishableKey: stack.supabase.publishableKey,
      supabaseSecretKey: stack.supabase.secretKey,
      databaseUrl: stack.database.ownerUrl,
      spotifyUrl: stack.spotify.url,
      awsEndpointUrl: stack.awsEndpointUrl,
      users: stack.users.map(({ id, email, password, state }) => ({ id, email, password, state })),
    },
    await filesFor(stack),
  );
  if (!end.aborted) print(describeReady(stack, demo, isInStateFile));
  if (options.watch) {
    running.defer(await watchSources({ cloud, demo, inspect: options.inspect, onChange: print }));
  }
  if (!end.aborted && options.emptySecrets) print(describeEmptySecrets(stack));
  await aborted(end);
}

/** Resolves once the signal is aborted. */
async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** Removes the leftovers of killed starts. */
async function tidyUp(stateFile: StateFile, temporaryDirectory: string): Promise<void> {
  const folders = [
    ...(await removeAbandonedFolders(temporaryDirectory)),
    ...(await removeAbandonedFolders(LOCAL_FOLDER).catch(() => [])),
  ];
  const left = [...((await stateFile.removeAbandoned()) ? ['.local/stack.json'] : []), ...folders];
  if (left.length > 0) printProgress(`Removed what an earlier start left: ${left.join(', ')}`);
}

/** The line for an alarm that goes off or ends; AWS would send it to the alarms' topic. */
function describeChange({ alarm, from, to }: AlarmChange): string {
  return JSON.stringify({
    level: to === 'ALARM' ? 'ERROR' : 'INFO',
    message: `${alarm.name} was ${from}, is ${to}`,
    description: alarm.properties.AlarmDescription,
  });
}

/** Prints how this machine differs from AWS for the current stack. */
async function printNotSimulated(end: AbortSignal): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), `spotify-auth-cdk-${process.pid}-`));
  try {
    await synthesize(directory, end);
    for (const line of loadTemplate(directory).notSimulated) print(`- ${line}`);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function main(end: AbortSignal): Promise<void> {
  const options = readOptions();
  if (options === 'help') print(USAGE);
  else if (options === 'not-simulated') await printNotSimulated(end);
  else await run(options, end);
}

/** @returns null if the error is only the cancelled start */
function explainFailure(error: unknown, end: AbortSignal): string | null {
  // A failed cleanup is the news, whatever else failed before.
  if (error instanceof SuppressedError) return explainFailure(error.error, new AbortController().signal);
  if (end.aborted) return null;
  return error instanceof Error ? error.message : String(error);
}

const end = listenForTheEnd();
try {
  await main(end);
} catch (error) {
  const failure = explainFailure(error, end);
  if (failure !== null) {
    process.stderr.write(`${failure}\n`);
    process.exitCode = 1;
  }
}
// Also ends what a cancelled step has left running.
process.exit();

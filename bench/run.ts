import { parseArgs } from 'node:util';
import { Bench } from './bench.ts';
import { type Figure, type Findings, reaches } from './figure.ts';
import { measureBloat } from './measurements/bloat.ts';
import { measureBundle } from './measurements/bundle.ts';
import { measureClaim } from './measurements/claim.ts';
import { measureColdStart } from './measurements/cold-start.ts';
import { measureConcurrentSweepers } from './measurements/concurrent-sweepers.ts';
import { measureExpiredMinutes } from './measurements/expired-minutes.ts';
import { measureHeldSnapshot } from './measurements/held-snapshot.ts';
import { measureMemory } from './measurements/memory.ts';
import { measureReady } from './measurements/ready.ts';
import { measureSweep } from './measurements/sweep.ts';
import { measureTls } from './measurements/tls.ts';
import { measureWarmStatus } from './measurements/warm-status.ts';
import { formatTable } from './table.ts';

interface Measurement {
  readonly title: string;
  readonly measure: (bench: Bench) => Promise<Findings>;
  /** Runs only if it is named. */
  readonly onRequest?: true;
}

const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  sweep: { title: 'throughput, CPU time and round trips of a sweep', measure: measureSweep },
  tls: { title: 'a sweep over TLS, beside HTTP/1.1 and HTTP/2 of a bare client', measure: measureTls },
  memory: { title: 'peak memory of a sweep', measure: measureMemory },
  claim: { title: 'a claim at a million rows', measure: measureClaim },
  snapshot: {
    title: 'claims of a long sweep while a session holds a snapshot',
    measure: measureHeldSnapshot,
  },
  sweepers: { title: 'four sweepers at once', measure: measureConcurrentSweepers },
  status: { title: 'a status call that refreshes nothing', measure: measureWarmStatus },
  'cold-start': { title: 'cold start of the status function', measure: measureColdStart },
  bloat: { title: 'what a day of sweeps does to tables and indexes', measure: measureBloat, onRequest: true },
  bundle: { title: 'what each package adds to the bundles', measure: measureBundle },
  ready: { title: 'from npm start to Ready', measure: measureReady },
  expired: { title: 'minutes that tokens spend expired in a simulated day', measure: measureExpiredMinutes },
};

const USAGE = `Usage: npm run bench [-- <name>...] [--json]

Measures, each figure against a baseline in the same run, and fails when one misses its "at least". bench/README.md says
what each means. Without names: all but those marked with *.

${Object.entries(MEASUREMENTS)
  .map(([name, { title, onRequest }]) => `  ${name.padEnd(11)}${title}${onRequest ? ' *' : ''}`)
  .join('\n')}

  --json     figures as JSON on standard output, for machines
`;

const startedAt = performance.now();

function printProgress(line: string): void {
  process.stderr.write(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4)} s  ${line}\n`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { json: { type: 'boolean' }, help: { type: 'boolean' } },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const names =
    positionals.length > 0
      ? positionals
      : Object.keys(MEASUREMENTS).filter((name) => !MEASUREMENTS[name]?.onRequest);
  const measurements = names.map((name) => MEASUREMENTS[name] ?? unknown(name));

  const figures: Figure[] = [];
  const report: string[] = [];
  await using bench = new Bench(printProgress);
  for (const { title, measure } of measurements) {
    printProgress(`— ${title}`);
    const findings = await measure(bench);
    figures.push(...findings.figures);
    report.push(...findings.report);
  }

  const isMissed = figures.some((figure) => !reaches(figure, figure.atLeast));
  if (values.json) {
    const rows = figures.map((figure) => ({
      ...figure,
      reachesAtLeast: reaches(figure, figure.atLeast),
      reachesAim: reaches(figure, figure.aimAt),
    }));
    process.stdout.write(`${JSON.stringify({ figures: rows, report }, null, 2)}\n`);
  } else {
    process.stdout.write(
      `\n${[...report, ...(figures.length > 0 ? [formatTable(figures)] : [])].join('\n')}\n`,
    );
  }
  process.exitCode = isMissed ? 1 : 0;
}

function unknown(name: string): never {
  throw new Error(`There is no measurement "${name}".\n\n${USAGE}`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

/**
 * Node 24 strips types by itself, so nothing is transformed: jest runs the sources as they are.
 * @type {import('jest').Config}
 */
const project = {
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  setupFiles: ['<rootDir>/test/loopback-only.ts'],
};

/** Removes the folders that the CDK leaves. Loading that takes a moment, so only files that load the CDK have it. */
const withCdk = { setupFilesAfterEnv: ['aws-cdk-lib/testhelpers/jest-autoclean'] };

/** Starts one PostgreSQL server for all test files. */
const withDatabase = {
  globalSetup: '<rootDir>/test/supabase/start-postgres-once.js',
  globalTeardown: '<rootDir>/test/supabase/stop-postgres.js',
};

/** Synthesizes the stack once for all test files, and starts one PostgreSQL server. */
const withStack = {
  globalSetup: '<rootDir>/test/e2e/prepare-stacks.js',
  globalTeardown: '<rootDir>/test/e2e/remove-stacks.js',
};

/** As `withStack`, and finds browsers. */
const withBrowser = {
  globalSetup: '<rootDir>/test/browser/prepare-browser.js',
  globalTeardown: '<rootDir>/test/browser/remove-browser.js',
};

/** @param {string[]} places folders, or files without `.test.ts` */
function testsIn(...places) {
  return places.flatMap((place) => [`<rootDir>/${place}/**/*.test.ts`, `<rootDir>/${place}.test.ts`]);
}

/** Tests that need more than the process they run in. */
const needs = {
  processes: ['test/bin', 'test/local', 'test/operator', 'packages/cdk-out-local/test'],
  database: ['test/supabase', 'test/stand-ins', 'test/lambda/contract', 'test/docs/sql'],
  stack: ['test/e2e', 'test/faults', 'test/alarms'],
  browser: ['test/browser'],
  emulator: ['test/emulator'],
};

/** Deploys to an emulator of AWS that `npm ci` does not bring: CONTRIBUTING.md. */
const emulator = { ...project, displayName: 'emulator', testMatch: testsIn(...needs.emulator) };

/** What `npm test` runs. `npm run test:quick` runs the first two. */
const projects = [
  {
    ...project,
    displayName: 'parts',
    testMatch: testsIn('test'),
    testPathIgnorePatterns: ['test/lib', ...Object.values(needs).flat()].map(
      (place) => `<rootDir>/${place}[/.]`,
    ),
  },
  { ...project, ...withCdk, displayName: 'infrastructure', testMatch: testsIn('test/lib') },
  { ...project, displayName: 'processes', testMatch: testsIn(...needs.processes) },
  { ...project, ...withDatabase, displayName: 'database', testMatch: testsIn(...needs.database) },
  { ...project, ...withStack, displayName: 'stack', testMatch: testsIn(...needs.stack) },
  { ...project, ...withBrowser, displayName: 'browser', testMatch: testsIn(...needs.browser) },
];

/** @type {import('jest').Config} */
export default {
  projects: process.env.npm_lifecycle_event === 'test:emulator' ? [emulator] : projects,
  // Generous, for a machine that has other things to do; a test that hangs still ends.
  testTimeout: 180_000,
  // One more than the cores of a small machine, because tests of the stack wait more than they compute.
  maxWorkers: 3,
  // On a busy machine, workers that hold hundreds of megabytes took up to 1.2 s to end; the default is half a second.
  workerGracefulExitTimeout: 10_000,
  reporters: ['default', '<rootDir>/test/closing-line-reporter.js'],
};

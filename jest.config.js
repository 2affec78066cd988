/**
 * Node 24 strips types by itself, so nothing is transformed: jest runs the sources as they are.
 * @type {import('jest').Config}
 */
const project = {
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  setupFiles: ['<rootDir>/test/loopback-only.ts'],
  setupFilesAfterEnv: ['aws-cdk-lib/testhelpers/jest-autoclean'],
};

/** Deploys to an emulator of AWS that `npm ci` does not bring: CONTRIBUTING.md. */
const emulator = {
  ...project,
  displayName: 'emulator',
  testMatch: ['<rootDir>/test/emulator/**/*.test.ts'],
};

/** What `npm test` runs. */
const projects = [
  {
    ...project,
    displayName: 'parts',
    testMatch: ['<rootDir>/test/**/*.test.ts'],
    testPathIgnorePatterns: ['e2e', 'emulator', 'faults', 'alarms', 'browser'].map(
      (folder) => `<rootDir>/test/${folder}/`,
    ),
  },
  {
    ...project,
    displayName: 'cdk-out-local',
    testMatch: ['<rootDir>/packages/cdk-out-local/test/**/*.test.ts'],
  },
  {
    ...project,
    displayName: 'end to end',
    testMatch: ['e2e', 'faults', 'alarms'].map((folder) => `<rootDir>/test/${folder}/**/*.test.ts`),
    globalSetup: '<rootDir>/test/e2e/synthesize-once.js',
    globalTeardown: '<rootDir>/test/e2e/remove-synthesized.js',
  },
  {
    ...project,
    displayName: 'browser',
    testMatch: ['<rootDir>/test/browser/**/*.test.ts'],
    globalSetup: '<rootDir>/test/browser/prepare-browser.js',
    globalTeardown: '<rootDir>/test/browser/remove-browser.js',
  },
];

/** @type {import('jest').Config} */
export default {
  projects: process.env.EMULATOR === 'ministack' ? [emulator] : projects,
  // Generous, for a machine that has other things to do; a test that hangs still ends.
  testTimeout: 180_000,
  // The tests start servers and processes of their own; more workers than this only make them wait for each other.
  maxWorkers: 2,
  reporters: ['default', '<rootDir>/test/closing-line-reporter.js'],
};

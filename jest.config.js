/**
 * Node 24 strips types by itself, so nothing is transformed: jest runs the sources as they are.
 * @type {import('jest').Config}
 */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  testTimeout: 60_000,
  // The tests start servers and processes of their own; more workers than this only make them wait for each other.
  maxWorkers: 2,
  setupFilesAfterEnv: ['aws-cdk-lib/testhelpers/jest-autoclean'],
  reporters: ['default', './test/closing-line-reporter.js'],
};

/**
 * Node 24 strips types by itself, so nothing is transformed: jest runs the sources as they are.
 * @type {import('jest').Config}
 */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  testTimeout: 30_000,
};

/**
 * Whether the proofs run at their full length instead of the short one of `npm test`: with `npm run test:faults`, or for
 * some of them with `FAULTS=long npm test -- <path>`.
 */
export const isLongRun =
  process.env['npm_lifecycle_event'] === 'test:faults' || process.env['FAULTS'] === 'long';

/** Whether the proofs run at their full length (`npm run test:faults`) instead of the short one of `npm test`. */
export const isLongRun = process.env['FAULTS'] === 'long';

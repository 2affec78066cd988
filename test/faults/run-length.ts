/** Whether the proofs run at full length, with `npm run test:long -- <path>`, instead of the short one of `npm test`. */
export const isLongRun = process.env['npm_lifecycle_event'] === 'test:long';

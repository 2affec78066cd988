// Runs a cdk.out folder, and gives operators' commands an endpoint.

export { type Cloud, type CloudOptions, startCloud } from './cloud.ts';
export type { AlarmChange } from './cloudwatch/cloud-watch.ts';
export type { Dashboard } from './cloudwatch/dashboard.ts';
export type { OnLog } from './invocation.ts';
export { OperatorEndpoint } from './operator-endpoint.ts';
export type { Timetable } from './schedule.ts';

// The parts, for a test or a measurement that only needs one service, or one function's process.

export { AccessControl } from './access.ts';
export { CredentialIssuer } from './credentials.ts';
export { ExecutionEnvironment } from './execution-environment.ts';
export { isLogged } from './log-level.ts';
export { nodeFlags } from './node-flags.ts';
export { queryAnswer, queryError } from './query-protocol.ts';
export { type Queue, Queues } from './queue.ts';
export { SecretsManager } from './secrets-manager.ts';
export { SqsEndpoint } from './sqs-endpoint.ts';
export { loadTemplate } from './template.ts';

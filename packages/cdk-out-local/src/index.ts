// A cdk.out folder that runs, and what operators' commands reach it by.

export { type Cloud, type CloudOptions, startCloud } from './cloud.ts';
export type { AlarmChange } from './cloudwatch/cloud-watch.ts';
export type { Dashboard } from './cloudwatch/dashboard.ts';
export type { OnLog } from './invocation.ts';
export { OperatorEndpoint } from './operator-endpoint.ts';
export type { Timetable } from './schedule.ts';

// Its parts, for a test or a measurement that wants one service, or one function's process, and nothing beside it.

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

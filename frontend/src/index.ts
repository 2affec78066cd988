export type { Clock } from './clock.ts';
export type { Connection, ConnectionStatus } from './connection-status.ts';
export {
  type ConnectionStore,
  type ConnectionStoreOptions,
  createConnectionStore,
  getConnectionStore,
  type UserId,
} from './connection-store.ts';
export type { ConnectionView } from './connection-view.ts';
export { type LandingOptions, readLanding } from './landing.ts';
export type { OpenStorage } from './last-known-status.ts';
export { createStatusClient, type StatusClient, type StatusClientOptions } from './status-client.ts';
export { StatusError, type StatusErrorCode } from './status-error.ts';

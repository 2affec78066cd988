import type { Notice, NoticeBus, NoticeStore, SentNotices } from '../../../lambda/connection/notice.ts';

/** Notices that are pending until they are recorded as sent; the store can be told to fail. */
export class InMemoryNoticeStore implements NoticeStore {
  readonly notices: Notice[] = [];
  /** Runs before each call, in the test's hands. */
  beforeEach: () => void = () => {};

  /** Adds so many. */
  add(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.notices.push({
        kind: 'required',
        id: `notice-${this.notices.length}`,
        userId: `user-${this.notices.length}`,
        since: '2026-11-24T12:00:00Z',
        reason: 'grant_revoked',
      });
    }
  }

  async pending(batchSize: number): Promise<readonly Notice[]> {
    this.beforeEach();
    return this.notices.slice(0, batchSize);
  }

  async recordSent(sent: readonly Notice[]): Promise<number> {
    this.beforeEach();
    const ids = new Set(sent.map(({ id }) => id));
    const left = this.notices.filter(({ id }) => !ids.has(id));
    const recorded = this.notices.length - left.length;
    this.notices.splice(0, this.notices.length, ...left);
    return recorded;
  }
}

/** A bus that keeps what it takes; takes everything, unless told otherwise. */
export class InMemoryNoticeBus implements NoticeBus {
  readonly taken: Notice[] = [];
  takes: (notice: Notice) => boolean = () => true;

  async send(notices: readonly Notice[]): Promise<SentNotices> {
    const taken = notices.filter((notice) => this.takes(notice));
    this.taken.push(...taken);
    return { taken, failure: taken.length < notices.length ? 'InternalFailure' : null };
  }
}

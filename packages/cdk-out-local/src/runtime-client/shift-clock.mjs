/**
 * Preloaded (`--import <this file>?seconds=-3600`) into the process of a function whose clock should be wrong by this many
 * seconds. Durations stay right, as on a machine with a wrong clock.
 */
const offsetMillis = Number(new URL(import.meta.url).searchParams.get('seconds')) * 1000;
const TrueDate = Date;

globalThis.Date = class ShiftedDate extends TrueDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [TrueDate.now() + offsetMillis] : parts));
  }

  static now() {
    return TrueDate.now() + offsetMillis;
  }
};

import { useEffect, useState } from 'react';
import type { LogLine, Snapshot } from '../live-view-events.ts';

const SHOWN_LOG_LINES = 100;

export interface LiveViewState {
  /** Null until the server has sent the first one. */
  readonly snapshot: Snapshot | null;
  /** Newest first. */
  readonly logLines: readonly NumberedLogLine[];
  /** False while the server does not answer. */
  readonly isLive: boolean;
}

export interface NumberedLogLine extends LogLine {
  readonly number: number;
}

/** Follows what the backend does, through server-sent events. */
export function useLiveView(): LiveViewState {
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [logLines, setLogLines] = useState<readonly NumberedLogLine[]>([]);
  const [isLive, setLive] = useState(true);
  useEffect(() => {
    let count = 0;
    const events = new EventSource('/live');
    events.addEventListener('open', () => {
      setLive(true);
      // A new connection begins with the remembered lines again.
      setLogLines([]);
    });
    events.addEventListener('error', () => setLive(false));
    events.addEventListener('snapshot', ({ data }) => setSnapshot(JSON.parse(data)));
    events.addEventListener('log', ({ data }) => {
      count += 1;
      const line: NumberedLogLine = { ...JSON.parse(data), number: count };
      setLogLines((lines) => [line, ...lines].slice(0, SHOWN_LOG_LINES));
    });
    return () => events.close();
  }, []);
  return { snapshot, logLines, isLive };
}

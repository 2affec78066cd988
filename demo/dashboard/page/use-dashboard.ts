import type { DashboardView } from 'cdk-out-local/dashboard-view';
import { useEffect, useState } from 'react';

const LOOK_EVERY_MILLISECONDS = 2_000;

/**
 * The dashboard's contents, fetched periodically.
 *
 * @param seconds how far graphs go back; null: as the dashboard says
 * @returns the last known view, null before the first, and whether the last look failed
 */
export function useDashboard(seconds: number | null): {
  readonly view: DashboardView | null;
  readonly isLost: boolean;
} {
  const [view, setView] = useState<DashboardView | null>(null);
  const [isLost, setLost] = useState(false);

  useEffect(() => {
    const controller = new AbortController();
    let timer: number | undefined;
    const look = async () => {
      try {
        const query = seconds === null ? '' : `?seconds=${seconds}`;
        const response = await fetch(`/dashboard/view${query}`, { signal: controller.signal });
        if (!response.ok) throw new Error(`answered ${response.status}`);
        setView((await response.json()) as DashboardView);
        setLost(false);
      } catch {
        if (controller.signal.aborted) return;
        setLost(true);
      }
      timer = window.setTimeout(look, LOOK_EVERY_MILLISECONDS);
    };
    void look();
    return () => {
      controller.abort();
      window.clearTimeout(timer);
    };
  }, [seconds]);

  return { view, isLost };
}

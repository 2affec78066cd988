import { useEffect, useLayoutEffect, useRef } from 'react';

/** Moves the focus to the page's heading when the control that had it is gone: to where the user is, not to the top. */
export function useKeptFocus(): void {
  const focused = useRef<Element | null>(null);

  useEffect(() => {
    const listening = new AbortController();
    const { signal } = listening;
    const remember = () => {
      focused.current = document.activeElement;
    };
    document.addEventListener('focusin', remember, { signal });
    // Not at once: some browsers report it for what is being removed, too.
    document.addEventListener('focusout', () => queueMicrotask(remember), { signal });
    return () => listening.abort();
  }, []);

  useLayoutEffect(() => {
    if (focused.current?.isConnected === false) {
      focused.current = null;
      document.querySelector('h1')?.focus({ preventScroll: true });
    }
  });
}

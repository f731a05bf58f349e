import { useSyncExternalStore } from 'react';
import { t } from '../strings.ts';
import { exactTime, relativeTime } from './format.ts';

const TICK_MS = 10_000;
let now = Date.now();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time now, anew every ten seconds; one timer for the whole page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** A time relative to now, the exact one on hover. */
export function Time({ at }: { readonly at: string | null }) {
  const nowMs = useNow();
  if (at === null) return <span className="dim">{t.time.unknown}</span>;
  return (
    <time dateTime={at} title={exactTime(at)} className="nowrap">
      {relativeTime(at, Math.max(nowMs, Date.now() - TICK_MS))}
    </time>
  );
}

import { useEffect, useState, useSyncExternalStore } from 'react';
import { busyCalls, subscribeBusy } from '../api/client.ts';
import { t } from '../strings.ts';

/** What is quicker needs no sign. */
const SHOWN_AFTER_MS = 600;

/** A thin line at the top while a call to the server takes long. */
export function BusyLine() {
  const busy = useSyncExternalStore(subscribeBusy, () => busyCalls() > 0);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!busy) {
      setShown(false);
      return undefined;
    }
    const timer = setTimeout(() => setShown(true), SHOWN_AFTER_MS);
    return () => clearTimeout(timer);
  }, [busy]);
  return shown ? <div className="progress-line" role="progressbar" aria-label={t.actions.loading} /> : null;
}

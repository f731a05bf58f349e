import { useState } from 'react';

interface Row {
  readonly receivedAt: string;
}

interface Newer<R> {
  /** What is shown: the rows from when the list was opened, or newer ones were asked for, each as it is now. */
  readonly shown: readonly R[];
  /** Rows that came on top since. */
  readonly newer: number;
  readonly showAll: () => void;
}

/**
 * Keeps back what comes on top of a list that is being read, so that no row moves away under somebody's finger.
 * `listKey` is another one for another search; `fresh` says that `rows` are the answer to it and no older one.
 */
export function useNewer<R extends Row>(rows: readonly R[], listKey: string, fresh: boolean): Newer<R> {
  const [opened, setOpened] = useState({ listKey, until: '' });
  const newest = rows[0]?.receivedAt ?? '';
  const current = opened.listKey === listKey ? opened.until : '';
  if (fresh && current === '' && newest !== '') setOpened({ listKey, until: newest });
  const shown = current === '' ? rows : rows.filter(({ receivedAt }) => receivedAt <= current);
  // All that was shown is gone from the list: then there is nobody to disturb.
  if (shown.length === 0 && rows.length > 0) {
    setOpened({ listKey, until: newest });
    return { shown: rows, newer: 0, showAll: () => undefined };
  }
  return {
    shown,
    newer: rows.length - shown.length,
    showAll: () => setOpened({ listKey, until: newest }),
  };
}

import { Button, Modal } from '@mantine/core';
import { useEffect, useState } from 'react';
import { t } from '../strings.ts';
import { guardLeaving } from './router.ts';

interface Asking {
  readonly answer: (leave: boolean) => void;
}

/** While `active`, leaving the page asks first: by link, by the browser's own back, and by closing the tab. */
export function LeaveGuard({ active }: { readonly active: boolean }) {
  const [asking, setAsking] = useState<Asking | null>(null);
  useEffect(() => {
    if (!active) return undefined;
    return guardLeaving(() => new Promise((answer) => setAsking({ answer })));
  }, [active]);
  const answer = (leave: boolean) => {
    asking?.answer(leave);
    setAsking(null);
  };
  return (
    <Modal opened={asking !== null} onClose={() => answer(false)} title={t.leave.title}>
      <div className="stack">
        <p>{t.leave.text}</p>
        <div className="actions dialog-actions">
          <Button variant="default" onClick={() => answer(true)}>
            {t.leave.leave}
          </Button>
          <Button onClick={() => answer(false)} data-autofocus>
            {t.leave.stay}
          </Button>
        </div>
      </div>
    </Modal>
  );
}

import { Checkbox, Loader } from '@mantine/core';
import { useState } from 'react';
import { type QueueAction, type QueueSelector, useQueueAction, useQueueCount } from '../../api/queue.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { plural } from '../../parts/format.ts';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.mail.queue;

export interface Wanted {
  readonly action: QueueAction;
  readonly selector: QueueSelector;
  /** What it is done to, in words. */
  readonly what: string;
}

interface ActionDialogProps {
  readonly wanted: Wanted | null;
  readonly onClose: () => void;
  readonly onDone?: () => void;
}

/** Says how much an action would touch before it is done; holding and releasing can be undone afterwards. */
export function ActionDialog({ wanted, ...props }: ActionDialogProps) {
  // Each time anew: what was chosen for one deletion is not the choice for the next.
  return wanted === null ? null : <Question wanted={wanted} {...props} />;
}

function Question({ wanted, onClose, onDone }: ActionDialogProps & { readonly wanted: Wanted }) {
  const [notice, setNotice] = useState(true);
  const [stay, setStay] = useState(false);
  const counted = useQueueCount(wanted);
  const act = useQueueAction();
  const { action, selector, what } = wanted;
  const nothing = counted.data?.recipients === 0;
  const isDestination = 'destination' in selector;
  // A destination can be held, and released, with nothing there: what arrives later is meant.
  const idle = nothing && !(action === 'hold' && stay) && !(action === 'release' && isDestination);
  const submit = async () => {
    const { recipients } = await act.mutateAsync({ action, selector, notice, stay });
    const undo = inverse(action);
    const back = undo && (() => act.mutateAsync({ action: undo, selector }));
    toast(words.done[action](recipients), back);
    onDone?.();
  };
  return (
    <Dialog
      title={`${words.titleOf[action]}: ${what}`}
      opened
      onClose={onClose}
      submit={words.titleOf[action]}
      danger={action === 'delete'}
      disabled={counted.data === undefined || idle}
      onSubmit={submit}
    >
      <div className="counted" aria-live="polite">
        {counted.error !== null && <ProblemNote error={counted.error} />}
        {counted.data === undefined && counted.error === null && (
          <span className="row dim">
            <Loader size="xs" /> {words.counting}
          </span>
        )}
        {counted.data !== undefined && (
          <strong>
            {nothing ? words.none : words.counted(counted.data.messages, counted.data.recipients)}
          </strong>
        )}
      </div>
      <p>{explained(action, selector, notice)}</p>
      {action === 'hold' && isDestination && (
        <Checkbox
          label={words.holdLater}
          checked={stay}
          onChange={(event) => setStay(event.currentTarget.checked)}
        />
      )}
      {action === 'delete' && (
        <Checkbox
          label={words.withNotice}
          checked={notice}
          onChange={(event) => setNotice(event.currentTarget.checked)}
        />
      )}
      <p className="dim small">{words.inFlight}</p>
    </Dialog>
  );
}

function inverse(action: QueueAction): QueueAction | undefined {
  if (action === 'hold') return 'release';
  return action === 'release' ? 'hold' : undefined;
}

function explained(action: QueueAction, selector: QueueSelector, notice: boolean): string {
  if (action === 'hold' && 'all' in selector) return words.confirm.holdAll;
  if (action === 'release' && 'destination' in selector) return words.confirm.releaseDestination;
  if (action === 'delete' && notice) return words.confirm.deleteNotice;
  return words.confirm[action];
}

/** How many are selected, for a dialog's title. */
export function selectedWords(ids: ReadonlySet<string>): string {
  return ids.size === 1 ? ([...ids][0] ?? '') : plural(ids.size, 'message');
}

/** Everything is held: says so above the queue. */
export function HoldAllNote() {
  return <Note tone="warn">{words.holdAll}</Note>;
}

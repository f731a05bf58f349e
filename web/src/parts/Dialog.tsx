import { Button, Modal } from '@mantine/core';
import { type FormEvent, type ReactNode, useLayoutEffect, useState } from 'react';
import { t } from '../strings.ts';
import { ProblemNote } from './Note.tsx';

interface DialogProps {
  readonly title: string;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
  /** The button that does it; without `onSubmit` there is only "Close". */
  readonly submit?: string;
  /** Resolves when done; the dialog closes. Rejects: the dialog stays and shows why. */
  readonly onSubmit?: () => Promise<unknown>;
  readonly danger?: boolean;
  readonly disabled?: boolean;
  readonly size?: string;
}

/** A form in a window of its own: shows that it works, shows what went wrong, closes when it is done. */
export function Dialog(props: DialogProps) {
  const { title, opened, onClose, children, submit, onSubmit, danger, disabled, size = 'md' } = props;
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useFocusBack(opened);
  const close = () => {
    if (busy) return;
    setError(null);
    onClose();
  };
  const send = async (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    if (onSubmit === undefined || busy) return;
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
      onClose();
    } catch (reason) {
      setError(reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={opened} onClose={close} title={title} size={size} returnFocus={false}>
      <form onSubmit={(event) => void send(event)} noValidate>
        <div className="stack">
          {children}
          {error !== null && <ProblemNote error={error} />}
          <div className="actions dialog-actions">
            <Button variant="default" onClick={close} disabled={busy}>
              {onSubmit === undefined ? t.actions.close : t.actions.cancel}
            </Button>
            {onSubmit !== undefined && (
              <Button type="submit" color={danger ? 'red' : undefined} loading={busy} disabled={disabled}>
                {submit ?? t.actions.save}
              </Button>
            )}
          </div>
        </div>
      </form>
    </Modal>
  );
}

/** Gives the focus back to what opened the window, however the window goes. */
function useFocusBack(opened: boolean): void {
  useLayoutEffect(() => {
    if (!opened) return undefined;
    const opener = openerOf(document.activeElement);
    // After the window is gone; another one that took its place keeps the focus.
    return () => void setTimeout(() => focusBack(opener));
  }, [opened]);
}

/** An entry of a menu goes with the menu; the button of the menu stays. */
function openerOf(element: Element | null): Element | null {
  const button = element?.closest('[role="menu"]')?.getAttribute('aria-labelledby');
  return button ? document.getElementById(button) : element;
}

function focusBack(opener: Element | null): void {
  if (document.querySelector('[role="dialog"]') !== null) return;
  const target = opener?.isConnected ? opener : document.getElementById('page-title');
  if (target instanceof HTMLElement) target.focus({ preventScroll: true });
}

/** Short words at the edge about what was just done, with a way to undo it where there is one. */
import { ActionIcon, Button } from '@mantine/core';
import { useEffect, useSyncExternalStore } from 'react';
import { problemOf } from '../api/problem.ts';
import { t } from '../strings.ts';
import { Icon } from './Icon.tsx';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly undo?: Undo;
}

/** Rejects when it could not be undone; that is told as well. */
type Undo = () => Promise<unknown>;

/** Long enough to read it and to decide on undoing (WCAG 2.2.1 asks for no less where there is a choice). */
const SHOWN_MS = 8000;
const SHOWN_WITH_UNDO_MS = 30_000;
const MOST = 4;

let toasts: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function drop(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

/** Shows `text`; at most four stand at once, the oldest goes. */
export function toast(text: string, undo?: Undo): void {
  lastId += 1;
  set([...toasts, { id: lastId, text, ...(undo === undefined ? {} : { undo }) }].slice(-MOST));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((one) => (
        <OneToast key={one.id} {...one} />
      ))}
    </div>
  );
}

function OneToast({ id, text, undo }: Toast) {
  const ms = undo === undefined ? SHOWN_MS : SHOWN_WITH_UNDO_MS;
  useEffect(() => {
    const timer = setTimeout(() => drop(id), ms);
    return () => clearTimeout(timer);
  }, [id, ms]);
  return (
    <div className="toast">
      <p>{text}</p>
      {undo !== undefined && (
        <Button
          size="compact-sm"
          variant="subtle"
          onClick={() => {
            drop(id);
            undo().catch((error: unknown) => toast(t.problem.notUndone(problemOf(error).message)));
          }}
        >
          {t.actions.undo}
        </Button>
      )}
      <ActionIcon variant="subtle" color="gray" aria-label={t.actions.close} onClick={() => drop(id)}>
        <Icon name="close" size={16} />
      </ActionIcon>
    </div>
  );
}

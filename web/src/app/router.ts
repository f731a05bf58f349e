/**
 * The page's own small router: paths and search words live in the address bar, links are real links, and a form
 * with unsaved changes can ask before it is left.
 */
import { useMemo, useSyncExternalStore } from 'react';

export interface Place {
  readonly path: string;
  readonly search: URLSearchParams;
  readonly hash: string;
}

/** Asked before leaving; resolves to true when leaving is fine. */
type Guard = (toPath: string) => Promise<boolean>;

const listeners = new Set<() => void>();
let guard: Guard | null = null;
/** Position in the history of this tab, so that a step back that was refused can be undone. */
let index = positionOf(history.state) ?? 0;
let undoing = false;

function positionOf(state: unknown): number | null {
  if (typeof state !== 'object' || state === null || !('index' in state)) return null;
  return typeof state.index === 'number' ? state.index : null;
}

function tell(): void {
  for (const listener of listeners) listener();
}

function current(): string {
  return location.pathname + location.search + location.hash;
}

/** Goes to a path of the page. With `replace` the address changes without a new entry and without asking. */
export async function navigate(to: string, options: { readonly replace?: boolean } = {}): Promise<void> {
  if (options.replace) {
    history.replaceState({ index }, '', to);
    tell();
    return;
  }
  const path = new URL(to, location.href).pathname;
  const elsewhere = path !== location.pathname;
  if (elsewhere && guard !== null && !(await guard(path))) return;
  index += 1;
  history.pushState({ index }, '', to);
  tell();
  if (elsewhere) scrollTo(0, 0);
}

async function onPopState(event: PopStateEvent): Promise<void> {
  const to = positionOf(event.state) ?? 0;
  if (undoing) {
    undoing = false;
    return;
  }
  if (guard === null) {
    index = to;
    tell();
    return;
  }
  const delta = to - index;
  undoing = true;
  history.go(-delta);
  const asked = guard;
  if (!(await asked(location.pathname))) return;
  if (guard === asked) guard = null;
  history.go(delta);
}

function onBeforeUnload(event: BeforeUnloadEvent): void {
  if (guard !== null) event.preventDefault();
}

/** Starts listening to the browser's own back and forward. */
export function startRouter(): void {
  history.replaceState({ index }, '');
  addEventListener('popstate', (event) => void onPopState(event));
  addEventListener('beforeunload', onBeforeUnload);
}

/** Sets who is asked before leaving; returns what takes it away again. */
export function guardLeaving(ask: Guard): () => void {
  guard = ask;
  return () => {
    if (guard === ask) guard = null;
  };
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where the page is now; renders anew when it changes. */
export function usePlace(): Place {
  const whole = useSyncExternalStore(subscribe, current);
  return useMemo(() => {
    const url = new URL(whole, location.origin);
    return { path: url.pathname.replace(/(.)\/$/, '$1'), search: url.searchParams, hash: url.hash };
  }, [whole]);
}

/** The values of `:name` parts when `path` fits `pattern`, else null. */
export function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | null {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const values: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    const word = given[at] ?? '';
    if (part.startsWith(':')) {
      const value = decoded(word);
      if (value === null || value === '') return null;
      values[part.slice(1)] = value;
    } else if (part !== word) return null;
  }
  return values;
}

function decoded(word: string): string | null {
  try {
    return decodeURIComponent(word);
  } catch {
    return null;
  }
}

/** Where the sign-ins of an account are shown. */
export function placeOfSignIns(address: string): string {
  return `/accounts/sign-ins?address=${encodeURIComponent(address)}`;
}

/** Where the queue of a destination is shown; in the search words, since a path with a dot is a file's. */
export function placeOfDestination(name: string): string {
  return `/queue/destination?name=${encodeURIComponent(name)}`;
}

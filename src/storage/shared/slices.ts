import type { QueueSelector } from '../contract.ts';

/** Rows an operation changes at most; larger actions come in several. */
export const SLICE = 1000;

/** Cuts a selector of many messages into selectors of at most `SLICE`. */
export function slicesOf(selector: QueueSelector): QueueSelector[] {
  if (!('ids' in selector)) return [selector];
  const slices: QueueSelector[] = [];
  for (let from = 0; from < selector.ids.length; from += SLICE) {
    slices.push({ ids: selector.ids.slice(from, from + SLICE) });
  }
  return slices;
}

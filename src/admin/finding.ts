/** Findings of `check`: what was found, what it means, what to do. */
import type { CheckFinding } from './context.ts';

export function fine(topic: string, text: string): CheckFinding {
  return { level: 'ok', topic, text };
}

/** Something that was not looked at; `mend` says how it would be. */
export function skipped(topic: string, text: string, meaning: string, mend: string): CheckFinding {
  return { level: 'skipped', topic, text, meaning, mend };
}

export function warning(topic: string, text: string, meaning: string, mend: string): CheckFinding {
  return { level: 'warning', topic, text, meaning, mend };
}

export function error(topic: string, text: string, meaning: string, mend: string): CheckFinding {
  return { level: 'error', topic, text, meaning, mend };
}

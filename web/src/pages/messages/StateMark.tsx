import { Mark } from '../../parts/Note.tsx';
import type { Tone } from '../../parts/tone.ts';
import { t } from '../../strings.ts';

const TONES: Readonly<Record<string, Tone>> = {
  queued: 'warn',
  waiting: 'warn',
  sending: 'info',
  held: 'held',
  delivered: 'good',
  failed: 'bad',
  deleted: 'bad',
  expanded: 'plain',
};

/** What became of a recipient, in a word. */
export function StateMark({ state }: { readonly state: string }) {
  return <Mark tone={TONES[state] ?? 'plain'}>{t.mail.states[state] ?? state}</Mark>;
}

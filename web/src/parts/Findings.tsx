import type { Finding } from '../api/checks.ts';
import { Note } from './Note.tsx';
import type { Tone } from './tone.ts';

const TONES: Readonly<Record<Finding['level'], Tone>> = {
  ok: 'good',
  warning: 'warn',
  error: 'bad',
  skipped: 'plain',
};

/** What a check found: each with what it means and what to do. */
export function Findings({ findings }: { readonly findings: readonly Finding[] }) {
  return (
    <div className="stack-tight">
      {findings.map(({ level, text, meaning, mend }) => (
        <Note key={text} tone={TONES[level]}>
          <strong>{text}</strong>
          {meaning !== undefined && <div>{meaning}</div>}
          {mend !== undefined && <div>{mend}</div>}
        </Note>
      ))}
    </div>
  );
}

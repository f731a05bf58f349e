import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { problemOf } from '../api/problem.ts';
import { t } from '../strings.ts';
import { Icon, type IconName } from './Icon.tsx';
import type { Tone } from './tone.ts';

const ICONS: Readonly<Record<Tone, IconName>> = {
  good: 'good',
  warn: 'warn',
  bad: 'bad',
  info: 'info',
  held: 'pause',
  plain: 'info',
};

interface NoteProps {
  readonly tone: Tone;
  readonly children: ReactNode;
  /** Read out when it appears. */
  readonly live?: boolean;
  readonly id?: string;
}

/** A few words that must not be missed, with a sign for what they are. */
export function Note({ tone, children, live = false, id }: NoteProps) {
  return (
    <div
      className={`note note-${tone}`}
      role={live ? (tone === 'bad' ? 'alert' : 'status') : undefined}
      id={id}
    >
      <Icon name={ICONS[tone]} />
      <div className="note-words">{children}</div>
    </div>
  );
}

/** What went wrong, what would mend it, and a button when trying again may help. */
export function ProblemNote({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  const problem = problemOf(error);
  return (
    <Note tone="bad" live>
      <div className="stack-tight">
        <div>
          <strong>{problem.message}</strong>
          {problem.mend !== '' && <div>{problem.mend}</div>}
          {problem.errors
            .filter(({ message }) => !problem.message.includes(message))
            .map(({ key, message, wouldDo }) => (
              <div key={key + message}>
                {`${key}: ${message}`}
                {wouldDo !== '' && ` ${t.problem.wouldDo(wouldDo)}`}
              </div>
            ))}
        </div>
        {onRetry !== undefined && (
          <div>
            <Button size="xs" variant="default" onClick={onRetry}>
              {t.actions.retry}
            </Button>
          </div>
        )}
      </div>
    </Note>
  );
}

/** A word on a coloured ground; the word alone says it too. */
export function Mark({ tone, children }: { readonly tone: Tone; readonly children: ReactNode }) {
  return <span className={`mark mark-${tone}`}>{children}</span>;
}

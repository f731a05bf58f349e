import { Button } from '@mantine/core';
import { type FormEvent, type ReactNode, useState } from 'react';
import { ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';

interface StepFormProps {
  readonly text: string;
  readonly submit: string;
  readonly disabled?: boolean;
  /** Does the step; what it throws is shown and the step stays. */
  readonly onSubmit: () => Promise<void>;
  /** The step can be left for later. */
  readonly onSkip?: () => void;
  readonly children: ReactNode;
}

/** One step: a sentence, fields, one button. */
export function StepForm({ text, submit, disabled, onSubmit, onSkip, children }: StepFormProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
    } catch (reason) {
      setError(reason);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="stack" onSubmit={(event) => void send(event)} noValidate>
      <p>{text}</p>
      {children}
      {error !== null && <ProblemNote error={error} />}
      <div className="actions">
        <Button type="submit" loading={busy} disabled={disabled}>
          {submit}
        </Button>
        {onSkip !== undefined && (
          <Button variant="subtle" onClick={onSkip} disabled={busy}>
            {t.setup.skip}
          </Button>
        )}
      </div>
    </form>
  );
}

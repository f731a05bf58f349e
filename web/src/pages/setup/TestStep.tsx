import '../messages/messages.css';
import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useMessage } from '../../api/messages.ts';
import { useTestMessage } from '../../api/setup.ts';
import { navigate } from '../../app/router.ts';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import { Story } from '../messages/Story.tsx';
import type { StepProps } from './Setup.tsx';
import { StepForm } from './StepForm.tsx';

const words = t.setup.test;

/** A real message, and its story as it happens. */
export function TestStep({ soFar }: StepProps) {
  const test = useTestMessage();
  const [to, setTo] = useState(soFar.account);
  const [id, setId] = useState<string | null>(null);
  const submit = async () => {
    const sent = await test.mutateAsync(to.trim());
    setId(sent.id);
  };
  return (
    <>
      <StepForm text={words.text} submit={words.submit} disabled={to.trim() === ''} onSubmit={submit}>
        <TextInput
          label={words.to}
          value={to}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setTo(event.currentTarget.value)}
        />
      </StepForm>
      {id !== null && <TestStory id={id} />}
      <div>
        <Button variant={id === null ? 'subtle' : 'filled'} onClick={() => void navigate('/')}>
          {words.finish}
        </Button>
      </div>
    </>
  );
}

function TestStory({ id }: { readonly id: string }) {
  const message = useMessage(id);
  if (message.error !== null) return <ProblemNote error={message.error} />;
  const recipients = message.data?.recipients ?? [];
  const delivered = recipients.length > 0 && recipients.every(({ state }) => state === 'delivered');
  return (
    <div className="stack" role="status">
      {delivered ? (
        <Note tone="good">{words.delivered}</Note>
      ) : (
        <Note tone="info">{recipients.length === 0 ? words.sending : words.waits}</Note>
      )}
      <h3>{words.story}</h3>
      <Story events={message.data?.events ?? []} />
    </div>
  );
}

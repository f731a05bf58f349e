import { Button, PasswordInput, TextInput } from '@mantine/core';
import { type FormEvent, type KeyboardEvent, useEffect, useState } from 'react';
import { useSignIn, wasSignedOut } from '../../api/session.ts';
import { SchemeButton } from '../../app/Shell.tsx';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import { CodeStep } from './CodeStep.tsx';

const words = t.signIn;

/** Name and password, and a code for whoever has a second factor. */
export default function Login() {
  const [pending, setPending] = useState<string | null>(null);
  useEffect(() => {
    document.title = `${words.title} · ${t.product}`;
  }, []);
  return (
    <main className="alone">
      <div className="alone-top">
        <SchemeButton />
      </div>
      {pending === null ? (
        <PasswordStep onPending={setPending} />
      ) : (
        <CodeStep pending={pending} onBack={() => setPending(null)} />
      )}
    </main>
  );
}

function PasswordStep({ onPending }: { readonly onPending: (pending: string) => void }) {
  const signIn = useSignIn();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [capsLock, setCapsLock] = useState(false);
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (signIn.isPending) return;
    signIn.mutate(
      { name, password },
      { onSuccess: (answer) => 'pending' in answer && onPending(answer.pending) },
    );
  };
  const watchCaps = (event: KeyboardEvent) => setCapsLock(event.getModifierState('CapsLock'));
  return (
    <form className="panel alone-panel" onSubmit={send}>
      <div className="alone-brand">
        <img src="/icon.svg" alt="" width="36" height="36" />
        <div>
          <h1>{words.title}</h1>
          <p className="dim">{words.text}</p>
        </div>
      </div>
      {wasSignedOut() && signIn.error === null && <Note tone="info">{words.expired}</Note>}
      <TextInput
        label={words.name}
        description={words.nameHelp}
        autoComplete="username"
        autoFocus
        required
        withAsterisk={false}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <PasswordInput
        label={words.password}
        autoComplete="current-password"
        required
        withAsterisk={false}
        value={password}
        description={capsLock ? words.capsLock : undefined}
        onKeyUp={watchCaps}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {signIn.error !== null && <ProblemNote error={signIn.error} />}
      <Button type="submit" fullWidth loading={signIn.isPending}>
        {words.submit}
      </Button>
      <p className="dim small">{words.lost}</p>
    </form>
  );
}

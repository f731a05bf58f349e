import { Button, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { Problem } from '../../api/problem.ts';
import { useSignInCode } from '../../api/session.ts';
import { ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';

const words = t.signIn;

interface CodeStepProps {
  /** What the first step was answered with. */
  readonly pending: string;
  readonly onBack: () => void;
}

/** The second step of signing in: one field for a code of the app or a recovery code. */
export function CodeStep({ pending, onBack }: CodeStepProps) {
  const signIn = useSignInCode();
  const [code, setCode] = useState('');
  const over = signIn.error instanceof Problem && signIn.error.body.startAgain === true;
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!signIn.isPending) signIn.mutate({ pending, code });
  };
  return (
    <form className="panel alone-panel" onSubmit={send}>
      <div className="alone-brand">
        <img src="/icon.svg" alt="" width="36" height="36" />
        <div>
          <h1>{words.codeTitle}</h1>
          <p className="dim">{words.codeText}</p>
        </div>
      </div>
      <TextInput
        label={words.code}
        description={words.codeHelp}
        autoComplete="one-time-code"
        autoFocus
        required
        withAsterisk={false}
        value={code}
        onChange={(event) => setCode(event.currentTarget.value)}
      />
      {signIn.error !== null && <ProblemNote error={signIn.error} />}
      <Button type="submit" fullWidth loading={signIn.isPending} disabled={over}>
        {words.codeSubmit}
      </Button>
      <Button variant="default" fullWidth onClick={onBack}>
        {words.back}
      </Button>
      <p className="dim small">{words.codeLost}</p>
    </form>
  );
}

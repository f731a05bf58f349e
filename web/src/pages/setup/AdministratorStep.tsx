import { PasswordInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useFirstAdministrator } from '../../api/setup.ts';
import { Strength, useStrength } from '../../parts/Strength.tsx';
import { t } from '../../strings.ts';
import type { StepProps } from './Setup.tsx';
import { StepForm } from './StepForm.tsx';

const words = t.setup.administrator;

/** Name and password of the first administrator; afterwards this browser is signed in. */
export function AdministratorStep({ token, onDone }: StepProps) {
  const make = useFirstAdministrator();
  const [name, setName] = useState('admin');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const differs = again !== '' && again !== password;
  const submit = async () => {
    await make.mutateAsync({ token, name: name.trim(), password });
    onDone();
  };
  const { strength } = useStrength(password, name);
  const ready = name.trim() !== '' && again === password && strength?.acceptable === true;
  return (
    <StepForm text={words.text} submit={words.submit} disabled={!ready} onSubmit={submit}>
      <TextInput
        label={words.name}
        value={name}
        autoComplete="username"
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <PasswordInput
        label={words.password}
        description={words.strengthHelp}
        value={password}
        autoComplete="new-password"
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      <Strength password={password} name={name} />
      <PasswordInput
        label={words.again}
        value={again}
        autoComplete="new-password"
        error={differs ? words.mismatch : undefined}
        onChange={(event) => setAgain(event.currentTarget.value)}
      />
    </StepForm>
  );
}

import { PasswordInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAccountChanges, useDomainChanges } from '../../api/directory.ts';
import { useSession } from '../../api/session.ts';
import { Note } from '../../parts/Note.tsx';
import { Strength } from '../../parts/Strength.tsx';
import { t } from '../../strings.ts';
import type { StepProps } from './Setup.tsx';
import { StepForm } from './StepForm.tsx';

/** The name in every greeting; it belongs to the node's own file and is only looked at here. */
export function HostnameStep({ onDone }: StepProps) {
  const words = t.setup.hostname;
  const hostname = useSession()?.hostname ?? '';
  return (
    <StepForm text={words.text} submit={words.keep} onSubmit={async () => onDone()}>
      <TextInput label={words.label} value={hostname} readOnly />
      <Note tone="info">{words.fixed}</Note>
    </StepForm>
  );
}

export function DomainStep({ onDone }: StepProps) {
  const words = t.setup.domain;
  const { add } = useDomainChanges();
  const [name, setName] = useState('');
  const submit = async () => {
    await add.mutateAsync(name.trim());
    onDone({ domain: name.trim().toLowerCase() });
  };
  return (
    <StepForm
      text={words.text}
      submit={words.submit}
      disabled={name.trim() === ''}
      onSubmit={submit}
      onSkip={() => onDone()}
    >
      <TextInput
        label={words.label}
        placeholder="example.com"
        value={name}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setName(event.currentTarget.value)}
      />
    </StepForm>
  );
}

export function AccountStep({ soFar, onDone }: StepProps) {
  const words = t.setup.account;
  const { add } = useAccountChanges();
  const [local, setLocal] = useState('');
  const [password, setPassword] = useState('');
  const address = `${local.trim()}@${soFar.domain}`;
  const submit = async () => {
    await add.mutateAsync({ address, password, quota: '' });
    onDone({ account: address });
  };
  if (soFar.domain === '') {
    return (
      <StepForm text={t.directory.accounts.needDomain} submit={t.setup.skip} onSubmit={async () => onDone()}>
        {null}
      </StepForm>
    );
  }
  return (
    <StepForm
      text={words.text}
      submit={words.submit}
      disabled={local.trim() === '' || password === ''}
      onSubmit={submit}
      onSkip={() => onDone()}
    >
      <TextInput
        label={words.label}
        description={`@${soFar.domain}`}
        value={local}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setLocal(event.currentTarget.value)}
      />
      <PasswordInput
        label={words.password}
        value={password}
        autoComplete="new-password"
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {password !== '' && <Strength password={password} />}
    </StepForm>
  );
}

import { PasswordInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAccountChanges, useDomainChanges } from '../../api/directory.ts';
import { useNode, useSetHostname } from '../../api/setup.ts';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { Waiting } from '../../parts/Page.tsx';
import { Strength } from '../../parts/Strength.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import type { StepProps } from './Setup.tsx';
import { StepForm } from './StepForm.tsx';

/** The name in every greeting; it belongs to the node's own file. */
export function HostnameStep({ onDone }: StepProps) {
  const words = t.setup.hostname;
  const node = useNode();
  const set = useSetHostname();
  const [name, setName] = useState<string | null>(null);
  if (node.data === undefined) return node.error === null ? <Waiting /> : <ProblemNote error={node.error} />;
  const { hostname, fileHostname, canWrite, howToChange } = node.data;
  const now = fileHostname ?? hostname;
  const changed = name !== null && name.trim() !== now;
  const submit = async () => {
    if (!changed) return onDone();
    const { configFile } = await set.mutateAsync(name.trim());
    toast(words.restart(configFile));
    onDone();
  };
  return (
    <StepForm text={words.text} submit={changed ? words.write : words.keep} onSubmit={submit}>
      <TextInput
        label={words.label}
        value={name ?? now}
        readOnly={!canWrite}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Note tone="info">{howToChange}</Note>
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

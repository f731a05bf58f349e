import { Button, NativeSelect, PasswordInput, Radio, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useOutboundProbe } from '../../api/checks.ts';
import { type SettingChangeInput, useSaveSettings } from '../../api/settings.ts';
import { Findings } from '../../parts/Findings.tsx';
import { ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import { HostTestButton } from '../settings/HostTest.tsx';
import type { StepProps } from './Setup.tsx';
import { StepForm } from './StepForm.tsx';

const words = t.setup.leaving;

type Way = 'mx' | 'host' | 'both';

interface Host {
  readonly name: string;
  readonly port: string;
  readonly tls: string;
  readonly username: string;
  readonly password: string;
}

/** MX, SMTP host, or MX with fallback. */
export function LeavingStep({ onDone }: StepProps) {
  const save = useSaveSettings();
  const [way, setWay] = useState<Way>('mx');
  const [host, setHost] = useState<Host>({
    name: '',
    port: '25',
    tls: 'opportunistic',
    username: '',
    password: '',
  });
  const hostChanges = changesOf(host);
  const submit = async () => {
    const changes = [
      { key: 'smtp.useMxResolution', value: way === 'host' ? 'off' : 'on' },
      { key: 'smtp.fallbackToSmtpHost', value: way === 'both' ? 'on' : 'off' },
      ...(way === 'mx' ? [] : hostChanges),
    ];
    await save.mutateAsync({ changes, version: null });
    onDone();
  };
  return (
    <StepForm
      text={words.text}
      submit={words.submit}
      disabled={way !== 'mx' && host.name.trim() === ''}
      onSubmit={submit}
      onSkip={() => onDone()}
    >
      <Radio.Group value={way} onChange={(value) => setWay(value as Way)} label={t.setup.steps.leaving}>
        <div className="setup-choice">
          <Radio value="mx" label={words.mx} description={words.mxHelp} />
          <Radio value="host" label={words.host} description={words.hostHelp} />
          <Radio value="both" label={words.both} description={words.bothHelp} />
        </div>
      </Radio.Group>
      {way !== 'mx' && <HostFields host={host} onChange={setHost} />}
      {way !== 'mx' && <HostTestButton changes={hostChanges} disabled={host.name.trim() === ''} />}
      {way !== 'host' && <Probe />}
    </StepForm>
  );
}

function changesOf({ name, port, tls, username, password }: Host): SettingChangeInput[] {
  const changes = [
    { key: 'smtp.host.name', value: name.trim() },
    { key: 'smtp.host.port', value: port.trim() },
    { key: 'smtp.host.tls', value: tls },
    { key: 'smtp.host.username', value: username.trim() },
  ];
  return password === '' ? changes : [...changes, { key: 'smtp.host.password', value: password }];
}

function HostFields({ host, onChange }: { readonly host: Host; readonly onChange: (host: Host) => void }) {
  const set = (change: Partial<Host>) => onChange({ ...host, ...change });
  const labels = t.settings.hostFields;
  return (
    <div className="setup-host">
      <TextInput
        label={labels.name}
        value={host.name}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      <TextInput
        label={labels.port}
        inputMode="numeric"
        value={host.port}
        onChange={(event) => set({ port: event.currentTarget.value })}
      />
      <TextInput
        label={labels.username}
        value={host.username}
        autoComplete="off"
        onChange={(event) => set({ username: event.currentTarget.value })}
      />
      <NativeSelect
        label={labels.tls}
        value={host.tls}
        data={['none', 'opportunistic', 'required', 'implicit']}
        onChange={(event) => set({ tls: event.currentTarget.value })}
      />
      <PasswordInput
        label={labels.password}
        value={host.password}
        autoComplete="new-password"
        onChange={(event) => set({ password: event.currentTarget.value })}
      />
    </div>
  );
}

function Probe() {
  const probe = useOutboundProbe();
  const [domain, setDomain] = useState('');
  return (
    <div className="stack-tight">
      <div className="row-end">
        <TextInput
          label={words.probeDomain}
          placeholder="example.com"
          value={domain}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setDomain(event.currentTarget.value)}
        />
        <Button
          variant="default"
          loading={probe.isPending}
          disabled={domain.trim() === ''}
          onClick={() => probe.mutate(domain.trim())}
        >
          {words.probe}
        </Button>
      </div>
      <div aria-live="polite">
        {probe.error !== null && <ProblemNote error={probe.error} />}
        {probe.data !== undefined && <Findings findings={probe.data} />}
      </div>
    </div>
  );
}

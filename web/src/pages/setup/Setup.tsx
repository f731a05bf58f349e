import './setup.css';
import '../settings/settings.css';
import { Button } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useSetupState } from '../../api/setup.ts';
import { navigate, usePlace } from '../../app/router.ts';
import { SchemeButton } from '../../app/Shell.tsx';
import { Icon } from '../../parts/Icon.tsx';
import { ProblemNote } from '../../parts/Note.tsx';
import { Empty, Waiting } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { AdministratorStep } from './AdministratorStep.tsx';
import { AccountStep, DomainStep, HostnameStep } from './DirectorySteps.tsx';
import { LeavingStep } from './LeavingStep.tsx';
import { TestStep } from './TestStep.tsx';

const words = t.setup;
const STEPS = ['administrator', 'hostname', 'domain', 'account', 'leaving', 'test'] as const;

/** What one step hands to the later ones. */
export interface SetupSoFar {
  readonly domain: string;
  readonly account: string;
}

export interface StepProps {
  readonly token: string;
  readonly soFar: SetupSoFar;
  readonly onDone: (more?: Partial<SetupSoFar>) => void;
}

const PARTS = {
  administrator: AdministratorStep,
  hostname: HostnameStep,
  domain: DomainStep,
  account: AccountStep,
  leaving: LeavingStep,
  test: TestStep,
} as const;

/** The first run, by the one-time link that `npm start` prints. */
export default function Setup() {
  const { hash } = usePlace();
  // Kept here only: the address loses it at once, so that it stays in no history.
  const [token] = useState(() => new URLSearchParams(hash.slice(1)).get('token') ?? '');
  const [at, setAt] = useState(0);
  const [soFar, setSoFar] = useState<SetupSoFar>({ domain: '', account: '' });
  const state = useSetupState(token);
  useEffect(() => {
    document.title = `${words.title} · ${t.product}`;
    void navigate('/setup', { replace: true });
  }, []);
  const done = (more: Partial<SetupSoFar> = {}) => {
    setSoFar((before) => ({ ...before, ...more }));
    setAt((before) => Math.min(before + 1, STEPS.length - 1));
  };
  const name = STEPS[at] ?? 'test';
  const Part = PARTS[name];
  return (
    <main className="alone">
      <div className="alone-top">
        <SchemeButton />
      </div>
      <div className="panel alone-panel alone-wide">
        <div className="alone-brand">
          <img src="/icon.svg" alt="" width="36" height="36" />
          <div>
            <h1>{words.title}</h1>
            <p className="dim">{words.welcome}</p>
          </div>
        </div>
        {at === 0 && state.isPending && <Waiting />}
        {at === 0 && state.error !== null && <BadLink error={state.error} />}
        {(at > 0 || state.data !== undefined) && (
          <>
            <Steps at={at} />
            <section className="setup-body stack" aria-labelledby="step-title">
              <h2 id="step-title" tabIndex={-1}>
                {words.steps[name]} <span className="dim small">{words.step(at + 1, STEPS.length)}</span>
              </h2>
              <Part key={name} token={token} soFar={soFar} onDone={done} />
            </section>
          </>
        )}
      </div>
    </main>
  );
}

function Steps({ at }: { readonly at: number }) {
  return (
    <ol className="setup-steps">
      {STEPS.map((step, index) => (
        <li key={step} aria-current={index === at ? 'step' : undefined}>
          {index < at ? <Icon name="check" size={14} /> : <span>{index + 1}.</span>}
          {words.steps[step]}
        </li>
      ))}
    </ol>
  );
}

function BadLink({ error }: { readonly error: unknown }) {
  return (
    <>
      <Empty icon="access" title={words.badLink} text={words.badLinkText}>
        <Button onClick={() => void navigate('/')}>{words.toSignIn}</Button>
      </Empty>
      <ProblemNote error={error} />
    </>
  );
}

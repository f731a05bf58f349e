import { Button, CopyButton, PasswordInput, TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { type Enrolment, useSecondFactor, useSecondFactorChanges } from '../api/access.ts';
import { t } from '../strings.ts';
import { Dialog } from './Dialog.tsx';
import { exactTime } from './format.ts';
import { Note } from './Note.tsx';
import { Answer, Empty, Panel } from './Page.tsx';
import { QrCode } from './QrCode.tsx';
import { toast } from './toasts.tsx';

const words = t.access.factor;
const FEW_LEFT = 3;

type Task =
  | { readonly kind: 'begin' | 'off' }
  | { readonly kind: 'scan'; readonly enrolment: Enrolment }
  | { readonly kind: 'codes'; readonly codes: readonly string[] };

interface SecondFactorPanelProps {
  readonly title?: string;
  /** What else there is to say of it, below. */
  readonly children?: ReactNode;
}

/** The second factor of whoever is signed in: set up in three windows, turned off in one. */
export function SecondFactorPanel({ title, children }: SecondFactorPanelProps) {
  const query = useSecondFactor();
  const [task, setTask] = useState<Task | null>(null);
  // A window that closes after its work must not close the one that follows it.
  const close = () => setTask((now) => (now === task ? null : now));
  return (
    <>
      <Panel title={title} id="second-factor">
        <Answer query={query} rows={3}>
          {({ on, since, recoveryCodesLeft }) =>
            !on ? (
              <Empty icon="access" title={words.offTitle} text={words.offText}>
                <Button onClick={() => setTask({ kind: 'begin' })}>{words.setUp}</Button>
              </Empty>
            ) : (
              <div className="stack">
                <strong>{words.onTitle}</strong>
                <p>
                  {words.since}: {since === null ? t.time.unknown : exactTime(since)}
                </p>
                <p>
                  {words.left}: {recoveryCodesLeft}
                </p>
                {recoveryCodesLeft <= FEW_LEFT && <Note tone="warn">{words.fewLeft}</Note>}
                <div>
                  <Button variant="default" onClick={() => setTask({ kind: 'off' })}>
                    {words.turnOff}
                  </Button>
                </div>
              </div>
            )
          }
        </Answer>
        {children}
      </Panel>
      {task?.kind === 'begin' && (
        <BeginDialog onClose={close} onBegun={(enrolment) => setTask({ kind: 'scan', enrolment })} />
      )}
      {task?.kind === 'scan' && (
        <ScanDialog
          enrolment={task.enrolment}
          onClose={close}
          onDone={(codes) => setTask({ kind: 'codes', codes })}
        />
      )}
      {task?.kind === 'codes' && <CodesDialog codes={task.codes} onClose={close} />}
      {task?.kind === 'off' && <OffDialog onClose={close} />}
    </>
  );
}

interface StepProps {
  readonly onClose: () => void;
}

function BeginDialog({ onClose, onBegun }: StepProps & { readonly onBegun: (made: Enrolment) => void }) {
  const { begin } = useSecondFactorChanges();
  const [password, setPassword] = useState('');
  const submit = async () => {
    const made = await begin.mutateAsync(password);
    setTimeout(() => onBegun(made)); // after this window's own closing
  };
  return (
    <Dialog
      title={words.setUp}
      opened
      onClose={onClose}
      submit={words.next}
      onSubmit={submit}
      disabled={password === ''}
    >
      <p>{words.passwordText}</p>
      <PasswordInput
        label={words.password}
        value={password}
        autoComplete="current-password"
        data-autofocus
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
    </Dialog>
  );
}

interface ScanProps extends StepProps {
  readonly enrolment: Enrolment;
  readonly onDone: (codes: readonly string[]) => void;
}

function ScanDialog({ enrolment, onClose, onDone }: ScanProps) {
  const { confirm } = useSecondFactorChanges();
  const [code, setCode] = useState('');
  const submit = async () => {
    const { recoveryCodes } = await confirm.mutateAsync(code);
    setTimeout(() => onDone(recoveryCodes));
  };
  return (
    <Dialog
      title={words.setUp}
      opened
      onClose={onClose}
      submit={words.turnOn}
      onSubmit={submit}
      disabled={code.trim() === ''}
    >
      <p>{words.scan}</p>
      <QrCode text={enrolment.uri} label={words.qr} />
      <p className="small dim">{words.secret}</p>
      <div className="secret">
        <code className="grow break" data-testid="factor-secret">
          {enrolment.secret}
        </code>
      </div>
      <TextInput
        label={words.code}
        value={code}
        autoComplete="one-time-code"
        inputMode="numeric"
        data-autofocus
        onChange={(event) => setCode(event.currentTarget.value)}
      />
    </Dialog>
  );
}

function CodesDialog({ codes, onClose }: StepProps & { readonly codes: readonly string[] }) {
  return (
    <Dialog title={words.codesTitle} opened onClose={onClose}>
      <Note tone="warn">{words.codesText}</Note>
      <ul className="recovery-codes" aria-label={words.codes}>
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <CopyButton value={codes.join('\n')}>
        {({ copied, copy }) => (
          <Button size="xs" variant="default" onClick={copy}>
            {copied ? t.actions.copied : t.actions.copy}
          </Button>
        )}
      </CopyButton>
    </Dialog>
  );
}

function OffDialog({ onClose }: StepProps) {
  const { turnOff } = useSecondFactorChanges();
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const submit = async () => {
    await turnOff.mutateAsync({ password, code });
    toast(words.off);
  };
  return (
    <Dialog
      title={words.turnOffTitle}
      opened
      onClose={onClose}
      submit={words.turnOff}
      danger
      onSubmit={submit}
      disabled={password === '' || code.trim() === ''}
    >
      <p>{words.turnOffText}</p>
      <PasswordInput
        label={words.password}
        value={password}
        autoComplete="current-password"
        data-autofocus
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      <TextInput
        label={words.codeOrRecovery}
        value={code}
        autoComplete="one-time-code"
        onChange={(event) => setCode(event.currentTarget.value)}
      />
    </Dialog>
  );
}

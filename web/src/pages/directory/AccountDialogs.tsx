import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type AccountRow, type DomainRow, useAccountChanges } from '../../api/directory.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { bytes } from '../../parts/format.ts';
import { Note } from '../../parts/Note.tsx';
import { Strength } from '../../parts/Strength.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { makePassword } from './make-password.ts';

const words = t.directory.accounts;

export type AccountTask =
  | { readonly kind: 'add'; readonly domain: string }
  | {
      readonly kind:
        | 'password'
        | 'quota'
        | 'enable'
        | 'disable'
        | 'postmaster'
        | 'remove'
        | 'unforward'
        | 'resetFactor';
      readonly account: AccountRow;
    };

interface AccountDialogsProps {
  readonly task: AccountTask | null;
  readonly domains: readonly DomainRow[];
  readonly onClose: () => void;
}

/** The window of whatever is to be done to an account. */
export function AccountDialogs({ task, domains, onClose }: AccountDialogsProps) {
  if (task === null) return null;
  if (task.kind === 'add')
    return <AddDialog domain={task.domain || (domains[0]?.name ?? '')} onClose={onClose} />;
  const { kind, account } = task;
  if (kind === 'password') return <PasswordDialog account={account} onClose={onClose} />;
  if (kind === 'quota') return <QuotaDialog account={account} onClose={onClose} />;
  if (kind === 'unforward') return <UnforwardDialog account={account} onClose={onClose} />;
  if (kind === 'resetFactor') return <ResetFactorDialog account={account} onClose={onClose} />;
  if (kind === 'remove') return <RemoveDialog account={account} onClose={onClose} />;
  return <PlainDialog kind={kind} account={account} onClose={onClose} />;
}

interface OneProps {
  readonly account: AccountRow;
  readonly onClose: () => void;
}

function AddDialog({ domain, onClose }: { readonly domain: string; readonly onClose: () => void }) {
  const { add } = useAccountChanges();
  const [address, setAddress] = useState(`@${domain}`);
  const [password, setPassword] = useState('');
  const [quota, setQuota] = useState('');
  const submit = async () => {
    const made = address.trim();
    await add.mutateAsync({ address: made, password, quota: quota.trim() });
    toast(words.added(made));
  };
  return (
    <Dialog title={words.add} opened onClose={onClose} submit={words.add} onSubmit={submit}>
      <TextInput
        label={words.address}
        value={address}
        autoComplete="off"
        spellCheck={false}
        data-autofocus
        onFocus={(event) => event.currentTarget.setSelectionRange(0, 0)}
        onChange={(event) => setAddress(event.currentTarget.value)}
      />
      <NewPassword label={words.password} value={password} onChange={setPassword} />
      <TextInput
        label={words.quota}
        description={words.quotaHelp}
        value={quota}
        onChange={(event) => setQuota(event.currentTarget.value)}
      />
    </Dialog>
  );
}

interface NewPasswordProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** A password somebody else will use: typed, or made up and shown once. */
export function NewPassword({ label, value, onChange }: NewPasswordProps) {
  const [made, setMade] = useState('');
  const generate = () => {
    const password = makePassword();
    setMade(password);
    onChange(password);
  };
  return (
    <div className="stack-tight">
      <PasswordInput
        label={label}
        description={words.passwordHelp}
        autoComplete="new-password"
        value={value}
        onChange={(event) => {
          setMade('');
          onChange(event.currentTarget.value);
        }}
      />
      <div className="row">
        <Button size="compact-sm" variant="default" onClick={generate}>
          {words.generate}
        </Button>
        {made !== '' && <code className="break">{made}</code>}
      </div>
      {made !== '' ? (
        <p className="dim small">{words.show}</p>
      ) : (
        value !== '' && <Strength password={value} />
      )}
    </div>
  );
}

function PasswordDialog({ account, onClose }: OneProps) {
  const { setPassword: change } = useAccountChanges();
  const [password, setPassword] = useState('');
  const submit = async () => {
    await change.mutateAsync({ address: account.address, password });
    toast(words.passwordSet(account.address));
  };
  return (
    <Dialog title={words.resetTitle(account.address)} opened onClose={onClose} onSubmit={submit}>
      <NewPassword label={words.newPassword} value={password} onChange={setPassword} />
    </Dialog>
  );
}

function QuotaDialog({ account, onClose }: OneProps) {
  const { setQuota: change } = useAccountChanges();
  const [quota, setQuota] = useState(
    account.quotaBytes === null ? '' : bytes(account.quotaBytes).replace(' bytes', '').replace(' ', ''),
  );
  const submit = async () => {
    await change.mutateAsync({ address: account.address, quota: quota.trim() });
    toast(words.quotaSet(account.address));
  };
  return (
    <Dialog title={`${words.changeQuota}: ${account.address}`} opened onClose={onClose} onSubmit={submit}>
      <TextInput
        label={words.quota}
        description={words.quotaHelp}
        value={quota}
        data-autofocus
        onChange={(event) => setQuota(event.currentTarget.value)}
      />
    </Dialog>
  );
}

function UnforwardDialog({ account: { address, forward }, onClose }: OneProps) {
  const { setForward } = useAccountChanges();
  const submit = async () => {
    await setForward.mutateAsync({ address, forward: null });
    toast(words.forwardStopped(address), () => setForward.mutateAsync({ address, forward }));
  };
  return (
    <Dialog
      title={words.stopForwardTitle(address)}
      opened
      onClose={onClose}
      submit={words.stopForward}
      onSubmit={submit}
    >
      <p>{words.stopForwardText}</p>
    </Dialog>
  );
}

function ResetFactorDialog({ account: { address }, onClose }: OneProps) {
  const { resetSecondFactor } = useAccountChanges();
  const submit = async () => {
    await resetSecondFactor.mutateAsync(address);
    toast(words.factorReset(address));
  };
  return (
    <Dialog
      title={words.resetFactorTitle(address)}
      opened
      onClose={onClose}
      submit={words.resetFactor}
      danger
      onSubmit={submit}
    >
      <p>{words.resetFactorText}</p>
    </Dialog>
  );
}

function RemoveDialog({ account, onClose }: OneProps) {
  const { remove } = useAccountChanges();
  const [typed, setTyped] = useState('');
  const submit = async () => {
    await remove.mutateAsync(account.address);
    toast(words.removed(account.address));
  };
  return (
    <Dialog
      title={words.removeTitle(account.address)}
      opened
      onClose={onClose}
      submit={words.remove}
      danger
      disabled={typed.trim() !== account.address}
      onSubmit={submit}
    >
      <Note tone="warn">{words.removeText}</Note>
      <TextInput
        label={words.confirmName}
        placeholder={account.address}
        autoComplete="off"
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
    </Dialog>
  );
}

function PlainDialog({
  kind,
  account,
  onClose,
}: OneProps & { readonly kind: 'enable' | 'disable' | 'postmaster' }) {
  const changes = useAccountChanges();
  const { address } = account;
  const enable = (enabled: boolean) => changes.setEnabled.mutateAsync({ address, enabled });
  if (kind === 'postmaster') {
    const submit = async () => {
      await changes.makePostmaster.mutateAsync(address);
      toast(words.nowPostmaster(address));
    };
    return (
      <Dialog
        title={`${words.makePostmaster}: ${address}`}
        opened
        onClose={onClose}
        submit={words.makePostmaster}
        onSubmit={submit}
      >
        {null}
      </Dialog>
    );
  }
  const on = kind === 'enable';
  const submit = async () => {
    await enable(on);
    toast(on ? words.wasEnabled(address) : words.wasDisabled(address), () => enable(!on));
  };
  return (
    <Dialog
      title={on ? `${words.enable}: ${address}` : words.disableTitle(address)}
      opened
      onClose={onClose}
      submit={on ? words.enable : words.disable}
      onSubmit={submit}
    >
      {!on && <p>{words.disableText}</p>}
    </Dialog>
  );
}

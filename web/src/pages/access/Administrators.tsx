import { Button, PasswordInput, TextInput } from '@mantine/core';
import { useState } from 'react';
import {
  type AdministratorRow,
  useAdministratorChanges,
  useAdministrators,
  useResetSecondFactor,
} from '../../api/access.ts';
import { useSession } from '../../api/session.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Panel } from '../../parts/Page.tsx';
import { Strength } from '../../parts/Strength.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.administrators;

type Task =
  | { readonly kind: 'add' }
  | { readonly kind: 'password' | 'remove' | 'reset'; readonly row: AdministratorRow };

/** Who may sign in here. */
export default function Administrators() {
  const query = useAdministrators();
  const me = useSession()?.name;
  const [task, setTask] = useState<Task | null>(null);
  const close = () => setTask(null);
  const columns: Column<AdministratorRow>[] = [
    {
      key: 'name',
      label: words.name,
      cell: ({ name }) => (
        <span className="row">
          <strong className="break">{name}</strong>
          {name === me && <Mark tone="info">{words.you}</Mark>}
        </span>
      ),
    },
    { key: 'since', label: words.since, cell: ({ createdAt }) => <Time at={createdAt} /> },
    { key: 'seen', label: words.lastSeen, cell: ({ lastSignInAt }) => <Time at={lastSignInAt} /> },
    {
      key: 'factor',
      label: words.factor,
      cell: ({ secondFactor }) => (
        <Mark tone={secondFactor ? 'good' : 'plain'}>{secondFactor ? words.factorOn : words.factorOff}</Mark>
      ),
    },
  ];
  return (
    <AccessPage
      title={words.title}
      actions={<Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>}
    >
      <Panel flush>
        <Answer query={query} rows={2}>
          {(rows) => (
            <Table
              label={words.title}
              columns={columns}
              rows={rows}
              rowKey={({ name }) => name}
              rowName={({ name }) => name}
              actions={(row) => (
                <span className="actions">
                  <Button
                    size="compact-sm"
                    variant="default"
                    aria-label={`${words.setPassword}: ${row.name}`}
                    onClick={() => setTask({ kind: 'password', row })}
                  >
                    {words.setPassword}
                  </Button>
                  {row.name !== me && row.secondFactor && (
                    <Button
                      size="compact-sm"
                      variant="default"
                      aria-label={`${words.reset}: ${row.name}`}
                      onClick={() => setTask({ kind: 'reset', row })}
                    >
                      {words.reset}
                    </Button>
                  )}
                  {row.name !== me && (
                    <Button
                      size="compact-sm"
                      variant="default"
                      aria-label={`${words.remove} ${row.name}`}
                      onClick={() => setTask({ kind: 'remove', row })}
                    >
                      {words.remove}
                    </Button>
                  )}
                </span>
              )}
            />
          )}
        </Answer>
      </Panel>
      {task?.kind === 'add' && <AddDialog onClose={close} />}
      {task?.kind === 'password' && (
        <PasswordDialog row={task.row} mine={task.row.name === me} onClose={close} />
      )}
      {task?.kind === 'reset' && <ResetDialog row={task.row} onClose={close} />}
      {task?.kind === 'remove' && <RemoveDialog row={task.row} onClose={close} />}
    </AccessPage>
  );
}

function AddDialog({ onClose }: { readonly onClose: () => void }) {
  const { add } = useAdministratorChanges();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const submit = async () => {
    await add.mutateAsync({ name: name.trim(), password });
    toast(words.added(name.trim()));
  };
  return (
    <Dialog
      title={words.add}
      opened
      onClose={onClose}
      submit={words.add}
      onSubmit={submit}
      disabled={name.trim() === ''}
    >
      <TextInput
        label={words.name}
        description={words.nameHelp}
        value={name}
        autoComplete="off"
        data-autofocus
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <PasswordInput
        label={words.password}
        value={password}
        autoComplete="new-password"
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {password !== '' && <Strength password={password} />}
    </Dialog>
  );
}

interface OneProps {
  readonly row: AdministratorRow;
  readonly onClose: () => void;
}

function PasswordDialog({ row, mine, onClose }: OneProps & { readonly mine: boolean }) {
  const { setPassword: change } = useAdministratorChanges();
  const [present, setPresent] = useState('');
  const [password, setPassword] = useState('');
  const submit = async () => {
    await change.mutateAsync({ name: row.name, password, ...(mine ? { currentPassword: present } : {}) });
    toast(words.passwordSet);
  };
  return (
    <Dialog title={words.passwordTitle(row.name)} opened onClose={onClose} onSubmit={submit}>
      {mine && (
        <PasswordInput
          label={words.currentPassword}
          value={present}
          autoComplete="current-password"
          onChange={(event) => setPresent(event.currentTarget.value)}
        />
      )}
      <PasswordInput
        label={words.newPassword}
        value={password}
        autoComplete="new-password"
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {password !== '' && <Strength password={password} />}
    </Dialog>
  );
}

function ResetDialog({ row, onClose }: OneProps) {
  const reset = useResetSecondFactor();
  const submit = async () => {
    await reset.mutateAsync(row.name);
    toast(words.resetDone(row.name));
  };
  return (
    <Dialog
      title={words.resetTitle(row.name)}
      opened
      onClose={onClose}
      submit={words.reset}
      danger
      onSubmit={submit}
    >
      <p>{words.resetText}</p>
    </Dialog>
  );
}

function RemoveDialog({ row, onClose }: OneProps) {
  const { remove } = useAdministratorChanges();
  const submit = async () => {
    await remove.mutateAsync(row.name);
    toast(words.removed(row.name));
  };
  return (
    <Dialog
      title={words.removeTitle(row.name)}
      opened
      onClose={onClose}
      submit={words.remove}
      danger
      onSubmit={submit}
    >
      <p>{words.removeText}</p>
    </Dialog>
  );
}

import { Button, Checkbox, TextInput } from '@mantine/core';
import { useState } from 'react';
import {
  type AppPasswordRow,
  type AppPasswordScope,
  type Me,
  useAppPasswords,
  useMe,
  useOwnChanges,
} from '../../api/me.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Mark, Note } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.me.programs;
const SCOPES: readonly AppPasswordScope[] = ['send', 'collect'];

/** What to enter in a mail program, and the passwords of single ones. */
export default function Programs() {
  const account = useMe();
  return (
    <Page title={words.title} more={words.more}>
      <div className="stack">
        <Panel title={words.settings} id="settings" flush>
          <Answer query={account} rows={4}>
            {(me) => <ProgramSettings me={me} />}
          </Answer>
        </Panel>
        <AppPasswords />
      </div>
    </Page>
  );
}

type Service = Me['programs'][number] & { readonly better: boolean };

const SERVICE_COLUMNS: readonly Column<Service>[] = [
  {
    key: 'use',
    label: words.use,
    cell: ({ protocol, better }) => (
      <span className="row">
        <strong>{words.uses[protocol]}</strong>
        {better && <Mark tone="good">{words.better}</Mark>}
      </span>
    ),
  },
  { key: 'server', label: words.server, cell: ({ server }) => <span className="mono break">{server}</span> },
  { key: 'port', label: words.port, cell: ({ port }) => <span className="mono">{port}</span> },
  {
    key: 'security',
    label: words.security,
    cell: ({ implicitTls }) => (implicitTls ? words.tls : words.starttls),
  },
];

function ProgramSettings({ me }: { readonly me: Me }) {
  if (me.programs.length === 0) return <p className="panel-body dim">{words.none}</p>;
  const better = (protocol: string) => me.programs.find((one) => one.protocol === protocol)?.name;
  const both = (protocol: string) => me.programs.filter((one) => one.protocol === protocol).length > 1;
  return (
    <>
      <Table
        label={words.settings}
        columns={SERVICE_COLUMNS}
        rows={me.programs.map((one) => ({
          ...one,
          better: both(one.protocol) && better(one.protocol) === one.name,
        }))}
        rowKey={({ name }) => name}
        rowName={({ name }) => name}
      />
      <div className="panel-body stack-tight">
        <dl className="facts">
          <dt>{words.user}</dt>
          <dd className="mono">{me.address}</dd>
          <dt>{words.password}</dt>
          <dd>{words.passwordHelp}</dd>
        </dl>
        <p className="dim small">{words.settingsHelp}</p>
      </div>
    </>
  );
}

type Task =
  | { readonly kind: 'add' }
  | { readonly kind: 'made'; readonly secret: string }
  | { readonly kind: 'revoke'; readonly name: string };

const COLUMNS: readonly Column<AppPasswordRow>[] = [
  { key: 'name', label: words.name, cell: ({ name }) => <strong className="break">{name}</strong> },
  {
    key: 'scope',
    label: words.scope,
    cell: ({ scopes }) => scopes.map((scope) => words.scopes[scope]).join(', '),
  },
  { key: 'made', label: words.made, cell: ({ createdAt }) => <Time at={createdAt} /> },
  {
    key: 'used',
    label: words.lastUsed,
    cell: ({ lastUsedAt }) =>
      lastUsedAt === null ? <span className="dim">{words.never}</span> : <Time at={lastUsedAt} />,
  },
];

function AppPasswords() {
  const query = useAppPasswords();
  const [task, setTask] = useState<Task | null>(null);
  const close = () => setTask((now) => (now?.kind === 'made' && task?.kind === 'add' ? now : null));
  const add = <Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>;
  return (
    <Panel
      title={words.appPasswords}
      id="app-passwords"
      flush
      actions={(query.data?.length ?? 0) > 0 ? add : undefined}
    >
      <Answer query={query} rows={4}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon="access" title={words.emptyTitle} text={words.emptyText}>
              {add}
            </Empty>
          ) : (
            <Table
              label={words.appPasswords}
              columns={COLUMNS}
              rows={rows}
              rowKey={({ name }) => name}
              rowName={({ name }) => name}
              actions={({ name }) => (
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={`${words.revoke} ${name}`}
                  onClick={() => setTask({ kind: 'revoke', name })}
                >
                  {words.revoke}
                </Button>
              )}
            />
          )
        }
      </Answer>
      {task?.kind === 'add' && (
        <AddDialog onClose={close} onMade={(secret) => setTask({ kind: 'made', secret })} />
      )}
      {task?.kind === 'made' && <MadeDialog secret={task.secret} onClose={() => setTask(null)} />}
      {task?.kind === 'revoke' && <RevokeDialog name={task.name} onClose={() => setTask(null)} />}
    </Panel>
  );
}

interface AddProps {
  readonly onClose: () => void;
  readonly onMade: (secret: string) => void;
}

function AddDialog({ onClose, onMade }: AddProps) {
  const { addAppPassword } = useOwnChanges();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState(SCOPES);
  const submit = async () => {
    const { password } = await addAppPassword.mutateAsync({ name: name.trim(), scopes: [...scopes] });
    // After the dialog's own closing.
    setTimeout(() => onMade(password));
  };
  return (
    <Dialog
      title={words.add}
      opened
      onClose={onClose}
      submit={words.add}
      onSubmit={submit}
      disabled={name.trim() === '' || scopes.length === 0}
    >
      <TextInput
        label={words.name}
        description={words.nameHelp}
        value={name}
        maxLength={100}
        autoComplete="off"
        data-autofocus
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Checkbox.Group
        label={words.scope}
        value={[...scopes]}
        onChange={(chosen) => setScopes(SCOPES.filter((scope) => chosen.includes(scope)))}
      >
        <div className="stack-tight">
          {SCOPES.map((scope) => (
            <Checkbox key={scope} value={scope} label={words.scopes[scope]} />
          ))}
        </div>
      </Checkbox.Group>
    </Dialog>
  );
}

function MadeDialog({ secret, onClose }: { readonly secret: string; readonly onClose: () => void }) {
  return (
    <Dialog title={words.onceTitle} opened onClose={onClose}>
      <Secret text={secret} testId="app-password" />
      <Note tone="warn">{words.once}</Note>
    </Dialog>
  );
}

function RevokeDialog({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const { revokeAppPassword } = useOwnChanges();
  const submit = async () => {
    await revokeAppPassword.mutateAsync(name);
    toast(words.revoked(name));
  };
  return (
    <Dialog
      title={words.revokeTitle(name)}
      opened
      onClose={onClose}
      submit={words.revoke}
      danger
      onSubmit={submit}
    >
      <p>{words.revokeText}</p>
    </Dialog>
  );
}

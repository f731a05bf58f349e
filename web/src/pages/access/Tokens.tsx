import { Button, Checkbox, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type TokenRow, type TokenScope, useMakeToken, useRevokeToken, useTokens } from '../../api/access.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Mark, Note } from '../../parts/Note.tsx';
import { Answer, Empty, Panel } from '../../parts/Page.tsx';
import { Secret } from '../../parts/Secret.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.tokens;
const SCOPES: readonly TokenScope[] = ['read', 'write', 'mail-source'];
/** Made by the server from the same table of routes. */
const API_REFERENCE = '/api/v1/docs';
const DAYS = [7, 30, 90, 365];
const DEFAULT_DAYS = 90;

type Task =
  | { readonly kind: 'add' }
  | { readonly kind: 'made'; readonly secret: string }
  | { readonly kind: 'revoke'; readonly token: TokenRow };

/** Keys of programs: made, shown once, revoked. */
export default function Tokens() {
  const query = useTokens();
  const [task, setTask] = useState<Task | null>(null);
  const close = () => setTask((now) => (now?.kind === 'made' && task?.kind === 'add' ? now : null));
  return (
    <AccessPage
      title={words.title}
      more={words.more}
      actions={
        <>
          <a href={API_REFERENCE}>{t.nav.apiReference}</a>
          <Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>
        </>
      }
    >
      <Panel flush>
        <Answer query={query} rows={4}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon="access" title={words.emptyTitle} text={words.emptyText}>
                <Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>
              </Empty>
            ) : (
              <Table
                label={words.title}
                columns={COLUMNS}
                rows={rows}
                rowKey={({ id }) => id}
                rowName={({ name }) => name}
                actions={(token) =>
                  token.state !== 'active' ? null : (
                    <Button
                      size="compact-sm"
                      variant="default"
                      aria-label={`${words.revoke} ${token.name}`}
                      onClick={() => setTask({ kind: 'revoke', token })}
                    >
                      {words.revoke}
                    </Button>
                  )
                }
              />
            )
          }
        </Answer>
      </Panel>
      {task?.kind === 'add' && (
        <AddDialog onClose={close} onMade={(secret) => setTask({ kind: 'made', secret })} />
      )}
      {task?.kind === 'made' && <MadeDialog secret={task.secret} onClose={() => setTask(null)} />}
      {task?.kind === 'revoke' && <RevokeDialog token={task.token} onClose={() => setTask(null)} />}
    </AccessPage>
  );
}

const STATES = { active: words.active, revoked: words.revokedMark, expired: words.expiredMark } as const;

const COLUMNS: readonly Column<TokenRow>[] = [
  { key: 'name', label: words.name, cell: ({ name }) => <strong className="break">{name}</strong> },
  {
    key: 'state',
    label: words.state,
    plain: true,
    cell: ({ state }) => <Mark tone={state === 'active' ? 'good' : 'plain'}>{STATES[state]}</Mark>,
  },
  {
    key: 'scope',
    label: words.scope,
    cell: ({ scopes }) => scopes.map((scope) => words.scopes[scope]).join(', '),
  },
  { key: 'by', label: words.by, cell: ({ by }) => <span className="break">{by}</span> },
  {
    key: 'used',
    label: words.lastUsed,
    cell: ({ lastUsedAt }) =>
      lastUsedAt === null ? <span className="dim">{words.never}</span> : <Time at={lastUsedAt} />,
  },
  { key: 'ends', label: words.expires, cell: ({ expiresAt }) => <Time at={expiresAt} /> },
];

function AddDialog({
  onClose,
  onMade,
}: {
  readonly onClose: () => void;
  readonly onMade: (secret: string) => void;
}) {
  const make = useMakeToken();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<readonly TokenScope[]>(['read']);
  const [days, setDays] = useState(DEFAULT_DAYS);
  const submit = async () => {
    const { token } = await make.mutateAsync({ name: name.trim(), scopes: [...scopes], days });
    // After the dialog's own closing.
    setTimeout(() => onMade(token));
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
      <NativeSelect
        label={words.expiresIn}
        value={String(days)}
        data={DAYS.map((count) => ({ value: String(count), label: words.days(count) }))}
        onChange={(event) => setDays(Number(event.currentTarget.value))}
      />
    </Dialog>
  );
}

function MadeDialog({ secret, onClose }: { readonly secret: string; readonly onClose: () => void }) {
  return (
    <Dialog title={words.onceTitle} opened onClose={onClose}>
      <Secret text={secret} testId="token" />
      <Note tone="warn">{words.once}</Note>
    </Dialog>
  );
}

function RevokeDialog({ token, onClose }: { readonly token: TokenRow; readonly onClose: () => void }) {
  const revoke = useRevokeToken();
  const submit = async () => {
    await revoke.mutateAsync(token.id);
    toast(words.revoked);
  };
  return (
    <Dialog
      title={words.revokeTitle(token.name)}
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

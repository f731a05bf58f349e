import { ActionIcon, Button, Menu, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type DomainRow, useDomainChanges, useDomains } from '../../api/directory.ts';
import { Link } from '../../app/Link.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Icon } from '../../parts/Icon.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.directory.domains;

type Task = { readonly kind: 'add' } | { readonly kind: 'change' | 'remove'; readonly domain: DomainRow };

/** The domains this server takes mail for. */
export default function Domains() {
  const query = useDomains();
  const [task, setTask] = useState<Task | null>(null);
  const close = () => setTask(null);
  return (
    <Page
      title={words.title}
      more={words.more}
      actions={<Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>}
    >
      <Panel flush>
        <Answer query={query} rows={4}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon="globe" title={words.emptyTitle} text={words.emptyText}>
                <Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>
              </Empty>
            ) : (
              <Table
                label={words.title}
                columns={COLUMNS}
                rows={rows}
                rowKey={({ name }) => name}
                rowName={({ name }) => name}
                actions={(domain) => <DomainMenu domain={domain} onTask={setTask} />}
              />
            )
          }
        </Answer>
      </Panel>
      {task?.kind === 'add' && <AddDialog onClose={close} />}
      {task?.kind === 'change' && <ChangeDialog domain={task.domain} onClose={close} />}
      {task?.kind === 'remove' && <RemoveDialog domain={task.domain} onClose={close} />}
    </Page>
  );
}

const COLUMNS: readonly Column<DomainRow>[] = [
  { key: 'name', label: words.name, cell: ({ name }) => <strong className="break">{name}</strong> },
  {
    key: 'forward',
    label: words.forward,
    cell: ({ forward }) =>
      forward === null ? (
        <span className="dim">{words.forwardNone}</span>
      ) : (
        <span className="break">{forwardText(forward)}</span>
      ),
  },
  {
    key: 'catchAll',
    label: words.catchAll,
    cell: ({ catchAll }) =>
      catchAll === null ? (
        <span className="dim">{words.catchAllNone}</span>
      ) : (
        <span className="break">{catchAll}</span>
      ),
  },
  {
    key: 'accounts',
    label: words.accounts,
    plain: true,
    cell: ({ name }) => <Link href={`/accounts?domain=${encodeURIComponent(name)}`}>{words.accounts}</Link>,
  },
];

function forwardText(forward: NonNullable<DomainRow['forward']>): string {
  if ('address' in forward) return forward.address;
  return forward.host.includes(':') ? `[${forward.host}]:${forward.port}` : `${forward.host}:${forward.port}`;
}

function DomainMenu({
  domain,
  onTask,
}: {
  readonly domain: DomainRow;
  readonly onTask: (task: Task) => void;
}) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`${t.actions.actions}: ${domain.name}`}>
          <Icon name="dots" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => onTask({ kind: 'change', domain })}>{words.change}</Menu.Item>
        <Menu.Item onClick={() => onTask({ kind: 'remove', domain })}>{words.remove}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function AddDialog({ onClose }: { readonly onClose: () => void }) {
  const { add } = useDomainChanges();
  const [name, setName] = useState('');
  const submit = async () => {
    await add.mutateAsync(name.trim());
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
        spellCheck={false}
        data-autofocus
        onChange={(event) => setName(event.currentTarget.value)}
      />
    </Dialog>
  );
}

interface OneProps {
  readonly domain: DomainRow;
  readonly onClose: () => void;
}

function ChangeDialog({ domain, onClose }: OneProps) {
  const { change } = useDomainChanges();
  const [forward, setForward] = useState(domain.forward === null ? '' : forwardText(domain.forward));
  const [catchAll, setCatchAll] = useState(domain.catchAll ?? '');
  const submit = async () => {
    await change.mutateAsync({ name: domain.name, forward: forward.trim(), catchAll: catchAll.trim() });
    toast(words.changed(domain.name));
  };
  return (
    <Dialog title={`${words.change}: ${domain.name}`} opened onClose={onClose} onSubmit={submit}>
      <TextInput
        label={words.forward}
        description={words.forwardHelp}
        value={forward}
        autoComplete="off"
        spellCheck={false}
        data-autofocus
        onChange={(event) => setForward(event.currentTarget.value)}
      />
      <TextInput
        label={words.catchAll}
        description={words.catchAllHelp}
        value={catchAll}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setCatchAll(event.currentTarget.value)}
      />
    </Dialog>
  );
}

function RemoveDialog({ domain, onClose }: OneProps) {
  const { remove } = useDomainChanges();
  const submit = async () => {
    await remove.mutateAsync(domain.name);
    toast(words.removed(domain.name));
  };
  return (
    <Dialog
      title={words.removeTitle(domain.name)}
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

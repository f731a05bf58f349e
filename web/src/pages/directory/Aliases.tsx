import { ActionIcon, Button, Menu, Textarea, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type AliasRow, useAliasChanges, useAliases } from '../../api/directory.ts';
import { usePlace } from '../../app/router.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Icon } from '../../parts/Icon.tsx';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { Filters } from './Accounts.tsx';

const words = t.directory.aliases;

type Task = { readonly kind: 'add' } | { readonly kind: 'change' | 'remove'; readonly alias: AliasRow };

/** Addresses that lead to others. */
export default function Aliases() {
  const { search } = usePlace();
  const domain = search.get('domain') ?? '';
  const query = useAliases(domain);
  const [filter, setFilter] = useState('');
  const [task, setTask] = useState<Task | null>(null);
  const close = () => setTask(null);
  const fits = ({ address, targets }: AliasRow) =>
    [address, ...targets].some((text) => text.includes(filter.trim().toLowerCase()));
  return (
    <Page
      title={words.title}
      more={words.more}
      actions={<Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>}
    >
      <Panel flush>
        <Filters domain={domain} filter={filter} onFilter={setFilter} />
        <Answer query={query} rows={4}>
          {({ rows }) =>
            rows.length === 0 ? (
              <Empty icon="arrow" title={words.emptyTitle} text={words.emptyText}>
                <Button onClick={() => setTask({ kind: 'add' })}>{words.add}</Button>
              </Empty>
            ) : (
              <>
                {rows.some(fits) ? (
                  <Table
                    label={words.title}
                    columns={COLUMNS}
                    rows={rows.filter(fits)}
                    rowKey={({ address }) => address}
                    rowName={({ address }) => address}
                    actions={(alias) => <AliasMenu alias={alias} onTask={setTask} />}
                  />
                ) : (
                  <p className="panel-body dim">{t.directory.noMatch}</p>
                )}
                <MoreButton query={query} />
              </>
            )
          }
        </Answer>
      </Panel>
      {task?.kind === 'add' && <AddDialog domain={domain} onClose={close} />}
      {task?.kind === 'change' && <ChangeDialog alias={task.alias} onClose={close} />}
      {task?.kind === 'remove' && <RemoveDialog alias={task.alias} onClose={close} />}
    </Page>
  );
}

const COLUMNS: readonly Column<AliasRow>[] = [
  {
    key: 'address',
    label: words.address,
    cell: ({ address }) => <strong className="break">{address}</strong>,
  },
  {
    key: 'targets',
    label: words.targets,
    cell: ({ targets }) =>
      targets.map((target) => (
        <div key={target} className="break">
          {target}
        </div>
      )),
  },
];

function AliasMenu({ alias, onTask }: { readonly alias: AliasRow; readonly onTask: (task: Task) => void }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`${t.actions.actions}: ${alias.address}`}>
          <Icon name="dots" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => onTask({ kind: 'change', alias })}>{words.change}</Menu.Item>
        <Menu.Item onClick={() => onTask({ kind: 'remove', alias })}>{words.remove}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function AddDialog({ domain, onClose }: { readonly domain: string; readonly onClose: () => void }) {
  const { add } = useAliasChanges();
  const [address, setAddress] = useState(`@${domain}`);
  const [targets, setTargets] = useState('');
  const list = addressesIn(targets);
  const submit = async () => {
    const { unknown } = await add.mutateAsync({ address: address.trim(), targets: list });
    toast(unknown.length > 0 ? words.unknown(unknown.join(', ')) : words.added(address.trim()));
  };
  return (
    <Dialog
      title={words.add}
      opened
      onClose={onClose}
      submit={words.add}
      onSubmit={submit}
      disabled={list.length === 0}
    >
      <TextInput
        label={words.address}
        value={address}
        autoComplete="off"
        spellCheck={false}
        data-autofocus
        onFocus={(event) => event.currentTarget.setSelectionRange(0, 0)}
        onChange={(event) => setAddress(event.currentTarget.value)}
      />
      <Targets value={targets} onChange={setTargets} />
    </Dialog>
  );
}

interface OneProps {
  readonly alias: AliasRow;
  readonly onClose: () => void;
}

function ChangeDialog({ alias, onClose }: OneProps) {
  const { change } = useAliasChanges();
  const { address } = alias;
  const [targets, setTargets] = useState(alias.targets.join('\n'));
  const list = addressesIn(targets);
  const submit = async () => {
    const { unknown } = await change.mutateAsync({ address, targets: list });
    if (unknown.length > 0) toast(words.unknown(unknown.join(', ')));
    else toast(words.changed(address), () => change.mutateAsync(alias));
  };
  return (
    <Dialog
      title={words.changeTitle(address)}
      opened
      onClose={onClose}
      onSubmit={submit}
      disabled={list.length === 0}
    >
      <Targets value={targets} onChange={setTargets} focused />
    </Dialog>
  );
}

interface TargetsProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** Has the focus when the window opens. */
  readonly focused?: boolean;
}

function Targets({ value, onChange, focused = false }: TargetsProps) {
  return (
    <Textarea
      label={words.targets}
      description={words.targetsHelp}
      autosize
      minRows={3}
      maxRows={12}
      spellCheck={false}
      data-autofocus={focused || undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

function addressesIn(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

function RemoveDialog({ alias, onClose }: OneProps) {
  const { remove, add } = useAliasChanges();
  const submit = async () => {
    await remove.mutateAsync(alias.address);
    toast(words.removed(alias.address), () => add.mutateAsync(alias));
  };
  return (
    <Dialog
      title={words.removeTitle(alias.address)}
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

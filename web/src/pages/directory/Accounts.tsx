import { ActionIcon, Button, Menu, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type AccountRow, useAccounts, useDomains } from '../../api/directory.ts';
import { Link } from '../../app/Link.tsx';
import { navigate, placeOfSignIns, usePlace } from '../../app/router.ts';
import { Icon } from '../../parts/Icon.tsx';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { QuotaBar } from '../../parts/QuotaBar.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { AccountDialogs, type AccountTask } from './AccountDialogs.tsx';

const words = t.directory.accounts;

/** The people with a mailbox here. */
export default function Accounts() {
  const { search } = usePlace();
  const domain = search.get('domain') ?? '';
  const domains = useDomains();
  const query = useAccounts(domain);
  const [filter, setFilter] = useState('');
  const [task, setTask] = useState<AccountTask | null>(null);
  const none = domains.data?.length === 0;
  return (
    <Page
      title={words.title}
      more={words.more}
      actions={
        <>
          <Button variant="default" onClick={() => void navigate('/import')}>
            {words.importMany}
          </Button>
          <Button disabled={none} onClick={() => setTask({ kind: 'add', domain })}>
            {words.add}
          </Button>
        </>
      }
    >
      <Panel flush>
        <Filters domain={domain} filter={filter} onFilter={setFilter} />
        <Answer query={query} rows={8}>
          {({ rows }) => (
            <Rows rows={rows} filter={filter} none={none} onTask={setTask}>
              <MoreButton query={query} />
            </Rows>
          )}
        </Answer>
      </Panel>
      <AccountDialogs task={task} domains={domains.data ?? []} onClose={() => setTask(null)} />
    </Page>
  );
}

interface FiltersProps {
  readonly domain: string;
  readonly filter: string;
  readonly onFilter: (text: string) => void;
}

/** A domain, and words to look for among the rows. */
export function Filters({ domain, filter, onFilter }: FiltersProps) {
  const domains = useDomains();
  const { path } = usePlace();
  const choose = (name: string) =>
    void navigate(name === '' ? path : `${path}?domain=${encodeURIComponent(name)}`);
  return (
    <div className="panel-head filters">
      <NativeSelect
        label={t.directory.domain}
        value={domain}
        data={[{ value: '', label: t.directory.allDomains }, ...(domains.data ?? []).map(({ name }) => name)]}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      <TextInput
        label={t.directory.search}
        value={filter}
        onChange={(event) => onFilter(event.currentTarget.value)}
      />
    </div>
  );
}

interface RowsProps {
  readonly rows: readonly AccountRow[];
  readonly filter: string;
  readonly none: boolean;
  readonly onTask: (task: AccountTask) => void;
  readonly children: React.ReactNode;
}

function Rows({ rows, filter, none, onTask, children }: RowsProps) {
  const shown = rows.filter(({ address }) => address.includes(filter.trim().toLowerCase()));
  if (rows.length === 0) {
    return (
      <Empty icon="people" title={words.emptyTitle} text={none ? words.needDomain : words.emptyText}>
        {none ? (
          <Link href="/domains">{t.directory.domains.add}</Link>
        ) : (
          <Button onClick={() => onTask({ kind: 'add', domain: '' })}>{words.add}</Button>
        )}
      </Empty>
    );
  }
  return (
    <>
      {shown.length === 0 && <p className="panel-body dim">{t.directory.noMatch}</p>}
      {shown.length > 0 && (
        <Table
          label={words.title}
          columns={COLUMNS}
          rows={shown}
          rowKey={({ address }) => address}
          rowName={({ address }) => address}
          actions={(account) => <AccountMenu account={account} onTask={onTask} />}
        />
      )}
      {children}
    </>
  );
}

const COLUMNS: readonly Column<AccountRow>[] = [
  {
    key: 'address',
    label: words.address,
    cell: ({ address, isPostmaster, forward, secondFactor }) => (
      <>
        <span className="row">
          <span className="break">{address}</span>
          {isPostmaster && <Mark tone="info">{words.postmaster}</Mark>}
        </span>
        {secondFactor && <div className="dim small">{words.factorOn}</div>}
        {forward !== null && (
          <div className="dim small break">{words.forwards(forward.targets.join(', '), forward.keep)}</div>
        )}
      </>
    ),
  },
  {
    key: 'state',
    label: words.state,
    plain: true,
    cell: ({ enabled }) => (
      <Mark tone={enabled ? 'good' : 'bad'}>{enabled ? words.enabled : words.disabled}</Mark>
    ),
  },
  {
    key: 'used',
    label: words.used,
    cell: ({ usedBytes, quotaBytes }) => <QuotaBar usedBytes={usedBytes} quotaBytes={quotaBytes} />,
  },
  { key: 'created', label: words.created, cell: ({ createdAt }) => <Time at={createdAt} /> },
];

function AccountMenu({
  account,
  onTask,
}: {
  readonly account: AccountRow;
  readonly onTask: (task: AccountTask) => void;
}) {
  const item = (kind: Exclude<AccountTask['kind'], 'add'>, text: string) => (
    <Menu.Item onClick={() => onTask({ kind, account })}>{text}</Menu.Item>
  );
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`${t.actions.actions}: ${account.address}`}>
          <Icon name="dots" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => void navigate(placeOfSignIns(account.address))}>{words.signIns}</Menu.Item>
        {item('password', words.resetPassword)}
        {item('quota', words.changeQuota)}
        {account.enabled ? item('disable', words.disable) : item('enable', words.enable)}
        {account.forward !== null && item('unforward', words.stopForward)}
        {account.secondFactor && item('resetFactor', words.resetFactor)}
        {!account.isPostmaster && item('postmaster', words.makePostmaster)}
        {!account.isPostmaster && item('remove', words.remove)}
      </Menu.Dropdown>
    </Menu>
  );
}

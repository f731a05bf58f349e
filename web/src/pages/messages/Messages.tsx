import './messages.css';
import { Button, NativeSelect, TextInput } from '@mantine/core';
import { type FormEvent, type ReactNode, useEffect, useState } from 'react';
import { type MessageRow, type MessageSearch, useMessages } from '../../api/messages.ts';
import { Link } from '../../app/Link.tsx';
import { navigate, usePlace } from '../../app/router.ts';
import { ADVANCED_PATH } from '../../app/setting-place.ts';
import { bytes } from '../../parts/format.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { StateMark } from './StateMark.tsx';
import { useNewer } from './use-newer.ts';

const words = t.mail.messages;
const FIELDS = ['sender', 'recipient', 'subject', 'id', 'state', 'since', 'until'] as const;
const RECIPIENTS_SHOWN = 2;
const NO_ROWS: readonly MessageRow[] = [];

/** Every message, newest first; the search stands in the address, so that it can be passed on. */
export default function Messages() {
  const { search: address } = usePlace();
  const search = searchOf(address);
  const query = useMessages(search);
  const searching = FIELDS.some((field) => search[field] !== '');
  const fresh = query.isFetchedAfterMount && !query.isPlaceholderData;
  const { shown, newer, showAll } = useNewer(query.data?.rows ?? NO_ROWS, address.toString(), fresh);
  return (
    <Page title={words.title} more={words.more}>
      <Panel flush>
        <SearchForm address={address.toString()} searching={searching}>
          <span role="status">
            {newer > 0 && (
              <Button variant="light" onClick={showAll}>
                {words.showNewer(newer)}
              </Button>
            )}
          </span>
        </SearchForm>
        <Answer query={query} rows={8}>
          {(data) =>
            data.rows.length === 0 && !query.hasNextPage ? (
              <Nothing searching={searching} />
            ) : (
              <>
                <Table
                  label={words.title}
                  columns={COLUMNS}
                  rows={shown}
                  rowKey={({ id }) => id}
                  rowName={({ id }) => id}
                />
                {data.searchedTo !== null && query.hasNextPage && (
                  <p className="searched dim small">
                    {words.searchedTo} <Time at={data.searchedTo} />
                  </p>
                )}
                <MoreButton query={query} />
              </>
            )
          }
        </Answer>
      </Panel>
    </Page>
  );
}

function searchOf(address: URLSearchParams): MessageSearch {
  const [sender, recipient, subject, id, state, since, until] = FIELDS.map(
    (field) => address.get(field) ?? '',
  );
  return {
    sender: sender ?? '',
    recipient: recipient ?? '',
    subject: subject ?? '',
    id: id ?? '',
    state: state ?? '',
    since: since ?? '',
    until: until ?? '',
  };
}

function Nothing({ searching }: { readonly searching: boolean }) {
  if (!searching) {
    return (
      <Empty icon="messages" title={words.noneTitle} text={words.noneText}>
        <Link href={`${ADVANCED_PATH}#try`}>{words.tryAddress}</Link>
      </Empty>
    );
  }
  return (
    <Empty icon="search" title={words.emptyTitle} text={words.emptyText}>
      <Button variant="default" onClick={() => void navigate('/messages')}>
        {words.clear}
      </Button>
    </Empty>
  );
}

interface SearchFormProps {
  readonly address: string;
  readonly searching: boolean;
  /** Beside the buttons. */
  readonly children: ReactNode;
}

function SearchForm({ address, searching, children }: SearchFormProps) {
  const [entered, setEntered] = useState(() => searchOf(new URLSearchParams(address)));
  // Only a new address changes what is entered: the list behind it is read anew all the time.
  useEffect(() => setEntered(searchOf(new URLSearchParams(address))), [address]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const field of FIELDS) if (entered[field].trim() !== '') next.set(field, entered[field].trim());
    void navigate(`/messages${next.size === 0 ? '' : `?${next}`}`);
  };
  const box = (field: (typeof FIELDS)[number], label: string, more: object = {}) => (
    <TextInput
      label={label}
      autoComplete="off"
      spellCheck={false}
      value={entered[field]}
      onChange={(event) => setEntered({ ...entered, [field]: event.currentTarget.value })}
      {...more}
    />
  );
  return (
    <search>
      <form className="search-form" onSubmit={send}>
        <div className="filters">
          {box('sender', words.sender, { placeholder: words.addressHelp })}
          {box('recipient', words.recipient, { placeholder: words.addressHelp })}
          {box('subject', words.subject)}
          {box('id', words.id)}
          <NativeSelect
            label={words.state}
            value={entered.state}
            data={[
              { value: '', label: words.anyState },
              ...['waiting', 'held', 'delivered', 'failed', 'deleted'].map((value) => ({
                value,
                label: t.mail.states[value] ?? value,
              })),
            ]}
            onChange={(event) => setEntered({ ...entered, state: event.currentTarget.value })}
          />
          {box('since', words.since, { type: 'datetime-local' })}
          {box('until', words.until, { type: 'datetime-local' })}
        </div>
        <div className="actions">
          <Button type="submit">{words.search}</Button>
          {searching && (
            <Button variant="default" onClick={() => void navigate('/messages')}>
              {t.actions.clear}
            </Button>
          )}
          {children}
        </div>
      </form>
    </search>
  );
}

const COLUMNS: readonly Column<MessageRow>[] = [
  {
    key: 'subject',
    label: words.message,
    cell: ({ id, subject }) => (
      <>
        <Link href={`/messages/${encodeURIComponent(id)}`} className="break">
          {subject || t.mail.noSubject}
        </Link>
        <div className="dim small mono">{id}</div>
      </>
    ),
  },
  {
    key: 'sender',
    label: words.sender,
    cell: ({ sender }) => <span className="break">{sender || t.mail.nullSender}</span>,
  },
  {
    key: 'recipients',
    label: words.recipients,
    cell: (row) => <RecipientsCell {...row} />,
  },
  {
    key: 'size',
    label: words.size,
    number: true,
    cell: ({ size }) => <span className="nowrap">{bytes(size)}</span>,
  },
  { key: 'received', label: words.received, cell: ({ receivedAt }) => <Time at={receivedAt} /> },
];

function RecipientsCell({ recipients, recipientCount }: Pick<MessageRow, 'recipients' | 'recipientCount'>) {
  const more = recipientCount - Math.min(recipients.length, RECIPIENTS_SHOWN);
  return (
    <>
      {recipients.slice(0, RECIPIENTS_SHOWN).map(({ address, state }) => (
        <div key={address} className="row recipient-line">
          <span className="break">{address}</span>
          <StateMark state={state} />
        </div>
      ))}
      {more > 0 && <div className="dim small">{words.moreRecipients(more)}</div>}
    </>
  );
}

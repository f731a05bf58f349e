import { Button, NativeSelect } from '@mantine/core';
import { type Me, type OwnMessageRow, useMe, useOwnMessages, type Which } from '../../api/me.ts';
import { Link } from '../../app/Link.tsx';
import { navigate, usePlace } from '../../app/router.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { QuotaBar } from '../../parts/QuotaBar.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { StateMark } from '../messages/StateMark.tsx';
import { useNewer } from '../messages/use-newer.ts';

const words = t.me.messages;
const WHICH: readonly Which[] = ['all', 'sent', 'received'];
const NO_ROWS: readonly OwnMessageRow[] = [];
const RECIPIENTS_SHOWN = 2;

/** What the owner of the account sent and received, newest first. */
export default function OwnMessages() {
  const account = useMe();
  const { search } = usePlace();
  const which = WHICH.find((one) => one === search.get('show')) ?? 'all';
  const query = useOwnMessages(which);
  const fresh = query.isFetchedAfterMount && !query.isPlaceholderData;
  const { shown, newer, showAll } = useNewer(query.data?.rows ?? NO_ROWS, which, fresh);
  return (
    <Page title={words.title} more={words.more(account.data?.address ?? '')}>
      <div className="stack">
        <Account me={account.data} />
        <Panel flush>
          <div className="panel-head filters">
            <NativeSelect
              label={words.show}
              value={which}
              data={WHICH.map((value) => ({ value, label: words.which[value] }))}
              onChange={(event) => void navigate(`/?show=${event.currentTarget.value}`)}
            />
            <span role="status">
              {newer > 0 && (
                <Button variant="light" onClick={showAll}>
                  {t.mail.messages.showNewer(newer)}
                </Button>
              )}
            </span>
          </div>
          <Answer query={query} rows={8}>
            {({ rows }) =>
              rows.length === 0 && !query.hasNextPage ? (
                <Empty
                  icon="messages"
                  title={words.emptyTitle}
                  text={which === 'sent' ? words.emptySent : words.emptyText}
                >
                  <Link href="/programs">{words.toPrograms}</Link>
                </Empty>
              ) : (
                <>
                  <Table
                    label={words.title}
                    columns={COLUMNS}
                    rows={shown}
                    rowKey={({ id }) => id}
                    rowName={({ id }) => id}
                  />
                  <MoreButton query={query} />
                </>
              )
            }
          </Answer>
        </Panel>
      </div>
    </Page>
  );
}

/** Aliases and the mailbox; its room is there from the start. */
function Account({ me }: { readonly me: Me | undefined }) {
  return (
    <Panel>
      <dl className="facts">
        <dt>{words.mailbox}</dt>
        <dd>{me === undefined ? t.time.unknown : <QuotaBar {...me} />}</dd>
      </dl>
      {me !== undefined && me.aliases.length > 0 && (
        <p className="dim break">{words.aliases(me.aliases.join(', '))}</p>
      )}
    </Panel>
  );
}

const COLUMNS: readonly Column<OwnMessageRow>[] = [
  {
    key: 'subject',
    label: words.message,
    cell: ({ id, subject }) => (
      <Link href={`/messages/${encodeURIComponent(id)}`} className="break">
        {subject || t.mail.noSubject}
      </Link>
    ),
  },
  {
    key: 'way',
    label: words.way,
    plain: true,
    cell: ({ sent, received }) => (
      <span className="row">
        {sent && <Mark tone="info">{words.sent}</Mark>}
        {received && <Mark tone="plain">{words.received}</Mark>}
      </span>
    ),
  },
  { key: 'with', label: words.with, plain: true, cell: (row) => <With row={row} /> },
  { key: 'state', label: words.state, plain: true, cell: ({ state }) => <StateMark state={state} /> },
  { key: 'time', label: words.time, cell: ({ receivedAt }) => <Time at={receivedAt} /> },
];

/** Whom a message went to, or whom it came from. */
function With({ row }: { readonly row: OwnMessageRow }) {
  const { sent, sender, recipients, recipientCount } = row;
  if (!sent) return <span className="break">{words.from(sender || t.mail.nullSender)}</span>;
  const named = recipients.slice(0, RECIPIENTS_SHOWN);
  const more = recipientCount - named.length;
  return (
    <>
      {named.map(({ address }) => (
        <div key={address} className="break">
          {words.to(address)}
        </div>
      ))}
      {more > 0 && <div className="dim small">{words.moreRecipients(more)}</div>}
    </>
  );
}

import { useState } from 'react';
import { type QueueRow, useQueueOf } from '../../api/queue.ts';
import { Link } from '../../app/Link.tsx';
import { usePlace } from '../../app/router.ts';
import { bytes, localTimes, plural } from '../../parts/format.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import type { Tone } from '../../parts/tone.ts';
import { t } from '../../strings.ts';
import { ActionDialog, type Wanted } from './ActionDialog.tsx';
import { ActionButtons, ActionMenu } from './ActionMenu.tsx';

const words = t.mail.queue;

const TONES: Readonly<Record<string, Tone>> = { queued: 'warn', sending: 'info', held: 'held' };

/** The messages that wait for one destination. */
export default function Destination() {
  const destination = usePlace().search.get('name') ?? '';
  const query = useQueueOf(destination);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [wanted, setWanted] = useState<Wanted | null>(null);
  return (
    <Page
      title={destination}
      crumbs={[{ text: words.title, href: '/queue' }]}
      actions={
        <ActionMenu
          label={t.actions.actions}
          selector={{ destination }}
          what={destination}
          onWant={setWanted}
        />
      }
    >
      <Panel flush>
        {selected.size > 0 && (
          <div className="panel-head">
            <strong>{words.selection(selected.size)}</strong>
            <ActionButtons
              selector={{ ids: [...selected] }}
              what={selected.size === 1 ? [...selected].join('') : plural(selected.size, 'message')}
              onWant={setWanted}
            />
          </div>
        )}
        <Answer query={query} rows={8}>
          {(data) =>
            data.rows.length === 0 ? (
              <Empty icon="good" title={words.emptyTitle} text={words.emptyHere}>
                <Link href="/queue">{words.back}</Link>
              </Empty>
            ) : (
              <>
                <Table
                  label={destination}
                  columns={COLUMNS}
                  rows={data.rows}
                  rowKey={({ id }) => id}
                  rowName={({ id }) => id}
                  selection={{ selected, onChange: setSelected }}
                  actions={({ id }) => <ActionMenu selector={{ ids: [id] }} what={id} onWant={setWanted} />}
                />
                <MoreButton query={query} />
              </>
            )
          }
        </Answer>
      </Panel>
      <ActionDialog wanted={wanted} onClose={() => setWanted(null)} onDone={() => setSelected(new Set())} />
    </Page>
  );
}

const COLUMNS: readonly Column<QueueRow>[] = [
  {
    key: 'message',
    label: t.mail.messages.message,
    cell: ({ id, size }) => (
      <>
        <Link href={`/messages/${encodeURIComponent(id)}`} className="mono">
          {id}
        </Link>
        <div className="dim small nowrap">{bytes(size)}</div>
      </>
    ),
  },
  {
    key: 'from',
    label: words.from,
    cell: ({ sender }) => <span className="break">{sender || t.mail.nullSender}</span>,
  },
  { key: 'why', label: words.why, plain: true, cell: (row) => <Recipients row={row} /> },
  { key: 'received', label: t.mail.messages.received, cell: ({ receivedAt }) => <Time at={receivedAt} /> },
];

function Recipients({ row }: { readonly row: QueueRow }) {
  return (
    <ul className="why-list">
      {row.recipients.map(({ address, state, why, lastReply }) => (
        <li key={address}>
          <Mark tone={TONES[state] ?? 'plain'}>{t.mail.states[state] ?? state}</Mark>{' '}
          <span className="break small">
            {why === null ? `${address}: ${lastReply ?? ''}` : localTimes(why)}
          </span>
        </li>
      ))}
    </ul>
  );
}

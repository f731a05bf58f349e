import { useState } from 'react';
import { type DestinationRow, useDestinations } from '../../api/queue.ts';
import { Link } from '../../app/Link.tsx';
import { placeOfDestination } from '../../app/router.ts';
import { count } from '../../parts/format.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { ActionDialog, HoldAllNote, type Wanted } from './ActionDialog.tsx';
import { ActionMenu } from './ActionMenu.tsx';

const words = t.mail.queue;

/** What is waiting, by where it goes. */
export default function Queue() {
  const query = useDestinations();
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const rows = query.data?.rows;
  const some = (rows?.length ?? 0) > 0 || query.data?.holdAll === true;
  return (
    <Page
      title={words.title}
      more={words.more}
      actions={
        some && (
          <ActionMenu label={words.actOnAll} selector={{ all: true }} what={words.all} onWant={setWanted} />
        )
      }
    >
      <div className="stack">
        {query.data?.holdAll === true && <HoldAllNote />}
        <Panel flush>
          <Answer query={query} rows={8}>
            {(data) =>
              data.rows.length === 0 ? (
                <Empty icon="good" title={words.emptyTitle} text={words.emptyText}>
                  <Link href="/messages">{t.nav.messages}</Link>
                </Empty>
              ) : (
                <>
                  <Destinations rows={data.rows} onWant={setWanted} />
                  <MoreButton query={query} />
                </>
              )
            }
          </Answer>
        </Panel>
      </div>
      <ActionDialog wanted={wanted} onClose={() => setWanted(null)} />
    </Page>
  );
}

const COLUMNS: readonly Column<DestinationRow>[] = [
  {
    key: 'destination',
    label: words.destination,
    cell: ({ destination, heldByRule }) => (
      <>
        <Link href={placeOfDestination(destination)}>{destination}</Link>
        {heldByRule !== null && (
          <div>
            <Mark tone="held">{words.heldByRule(heldByRule)}</Mark>
          </div>
        )}
      </>
    ),
  },
  {
    key: 'waiting',
    label: words.waiting,
    number: true,
    cell: ({ waiting, sending }) => count(waiting + sending),
  },
  { key: 'held', label: words.held, number: true, cell: ({ held }) => count(held) },
  { key: 'oldest', label: words.oldest, cell: ({ oldestAt }) => <Time at={oldestAt} /> },
  {
    key: 'reply',
    label: words.lastReply,
    cell: ({ lastReply }) => <span className="break small">{lastReply ?? t.time.unknown}</span>,
  },
  { key: 'next', label: words.nextAttempt, cell: ({ nextAttemptAt }) => <Time at={nextAttemptAt} /> },
  { key: 'backed', label: words.backedOff, cell: ({ backedOffUntil }) => <Time at={backedOffUntil} /> },
];

function Destinations({
  rows,
  onWant,
}: {
  readonly rows: readonly DestinationRow[];
  readonly onWant: (wanted: Wanted) => void;
}) {
  return (
    <Table
      label={words.title}
      columns={COLUMNS}
      rows={rows}
      rowKey={({ destination }) => destination}
      rowName={({ destination }) => destination}
      actions={({ destination }) => (
        <ActionMenu selector={{ destination }} what={destination} onWant={onWant} />
      )}
    />
  );
}

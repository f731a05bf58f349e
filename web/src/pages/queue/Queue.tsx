import { Button } from '@mantine/core';
import { useState } from 'react';
import { type DestinationRow, useDestinations, useEndBackOff } from '../../api/queue.ts';
import { Link } from '../../app/Link.tsx';
import { placeOfDestination } from '../../app/router.ts';
import { count } from '../../parts/format.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Mark, ProblemNote } from '../../parts/Note.tsx';
import { Answer, Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
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
    cell: ({ destination, heldByRule, backedOffUntil, backOffReply }) => (
      <>
        <Link href={placeOfDestination(destination)}>{destination}</Link>
        {backedOffUntil !== null && (
          <BackOff destination={destination} until={backedOffUntil} reply={backOffReply} />
        )}
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
];

/** No server of the destination could be reached: until when none is tried, why, and how to try now. */
function BackOff(props: {
  readonly destination: string;
  readonly until: string;
  readonly reply: string | null;
}) {
  const { destination, until, reply } = props;
  const end = useEndBackOff();
  const tryNow = async () => {
    const { destinations } = await end.mutateAsync(destination);
    toast(destinations > 0 ? words.triedNow(destination) : words.notBackedOff(destination));
  };
  return (
    <div className="stack-tight">
      <div>
        <Mark tone="warn">{words.backedOff}</Mark> <Time at={until} />
      </div>
      {reply !== null && <div className="break small">{reply}</div>}
      {end.error !== null && <ProblemNote error={end.error} />}
      <div>
        <Button
          size="compact-xs"
          variant="default"
          aria-label={words.tryNowNamed(destination)}
          loading={end.isPending}
          // What went wrong is told above.
          onClick={() => void tryNow().catch(() => undefined)}
        >
          {words.tryNow}
        </Button>
      </div>
    </div>
  );
}

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

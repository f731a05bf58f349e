import { Button } from '@mantine/core';
import { type BanRow, useBans, useLiftBan } from '../../api/access.ts';
import { ProblemNote } from '../../parts/Note.tsx';
import { Answer, Empty, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.bans;

/** Who was banned for too many wrong passwords, until when and why. */
export default function Bans() {
  const query = useBans();
  const lift = useLiftBan();
  const liftOne = ({ network }: BanRow) =>
    lift.mutate(network, { onSuccess: () => toast(words.lifted(network)) });
  return (
    <AccessPage title={words.title} more={words.more}>
      {lift.error !== null && <ProblemNote error={lift.error} />}
      <Panel flush>
        <Answer query={query} rows={3}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon="check" title={words.emptyTitle} text={words.emptyText} />
            ) : (
              <Table
                label={words.title}
                columns={COLUMNS}
                rows={rows}
                rowKey={({ network }) => network}
                rowName={({ network }) => network}
                actions={(row) => (
                  <Button
                    size="compact-sm"
                    variant="default"
                    aria-label={`${words.lift}: ${row.network}`}
                    onClick={() => liftOne(row)}
                  >
                    {words.lift}
                  </Button>
                )}
              />
            )
          }
        </Answer>
      </Panel>
    </AccessPage>
  );
}

const COLUMNS: readonly Column<BanRow>[] = [
  {
    key: 'network',
    label: words.network,
    cell: ({ network }) => <strong className="mono break">{network}</strong>,
  },
  { key: 'why', label: words.why, cell: ({ failures, times }) => words.reason(failures, times) },
  { key: 'until', label: words.until, cell: ({ until }) => <Time at={until} /> },
];

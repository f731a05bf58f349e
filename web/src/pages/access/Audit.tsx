import { type AuditRow, useAudit } from '../../api/access.ts';
import { MoreButton } from '../../parts/MoreButton.tsx';
import { Answer, Empty, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.audit;

/** Who did what, newest first. */
export default function Audit() {
  const query = useAudit();
  return (
    <AccessPage title={words.title}>
      <Panel flush>
        <Answer query={query} rows={8}>
          {({ rows }) =>
            rows.length === 0 ? (
              <Empty icon="clock" title={words.emptyTitle} text={words.emptyText} />
            ) : (
              <>
                <Table
                  label={words.title}
                  columns={COLUMNS}
                  rows={rows}
                  rowKey={({ id }) => id}
                  rowName={({ action }) => action}
                />
                <MoreButton query={query} />
              </>
            )
          }
        </Answer>
      </Panel>
    </AccessPage>
  );
}

const COLUMNS: readonly Column<AuditRow>[] = [
  { key: 'what', label: words.what, cell: ({ action }) => <strong className="break">{action}</strong> },
  {
    key: 'details',
    label: words.details,
    cell: ({ details }) => <span className="break small">{details}</span>,
  },
  { key: 'who', label: words.who, cell: ({ who }) => <span className="break">{who}</span> },
  {
    key: 'from',
    label: words.from,
    cell: ({ address }) => <span className="mono">{address ?? t.time.unknown}</span>,
  },
  { key: 'when', label: words.when, cell: ({ at }) => <Time at={at} /> },
];

import type { UseQueryResult } from '@tanstack/react-query';
import type { SignInRow } from '../api/me.ts';
import { t } from '../strings.ts';
import { Mark } from './Note.tsx';
import { Answer, Empty } from './Page.tsx';
import { type Column, Table } from './Table.tsx';
import { Time } from './Time.tsx';

const words = t.signIns;

interface SignInHistoryProps {
  readonly query: UseQueryResult<readonly SignInRow[]>;
  readonly help: string;
  readonly emptyText: string;
}

/** Who signed in to an account or tried to; the same for its owner and for administrators. */
export function SignInHistory({ query, help, emptyText }: SignInHistoryProps) {
  return (
    <>
      <p className="panel-body dim small">{help}</p>
      <Answer query={query} rows={6}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon="clock" title={words.emptyTitle} text={emptyText} />
          ) : (
            <Table
              label={words.title}
              columns={COLUMNS}
              rows={rows.map((row, at) => ({ ...row, key: `${row.at} ${at}` }))}
              rowKey={({ key }) => key}
              rowName={({ at }) => at}
            />
          )
        }
      </Answer>
    </>
  );
}

/** Several may have one time. */
type Row = SignInRow & { readonly key: string };

const COLUMNS: readonly Column<Row>[] = [
  { key: 'when', label: words.when, cell: ({ at }) => <Time at={at} /> },
  {
    key: 'outcome',
    label: words.outcome,
    cell: ({ outcome, reason }) => (
      <>
        <Mark tone={outcome === 'ok' ? 'good' : 'bad'}>{outcome === 'ok' ? words.ok : words.refused}</Mark>
        {reason !== null && <div className="small break">{reason}</div>}
      </>
    ),
  },
  {
    key: 'what',
    label: words.what,
    cell: ({ service, appPassword }) => (
      <>
        {words.services[service] ?? service}
        {appPassword !== null && <div className="dim small break">{words.by(appPassword)}</div>}
      </>
    ),
  },
  {
    key: 'from',
    label: words.from,
    cell: ({ address, tls }) => (
      <>
        <span className="mono break">{address}</span>
        <div className="dim small">{tls ?? words.clear}</div>
      </>
    ),
  },
];

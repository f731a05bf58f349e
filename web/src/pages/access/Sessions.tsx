import { Button } from '@mantine/core';
import { useState } from 'react';
import { type SessionRow, useEndSession, useSessions } from '../../api/access.ts';
import { useSignOut } from '../../api/session.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Empty, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.sessions;

/** Who is signed in, and from where. */
export default function Sessions() {
  const query = useSessions();
  const end = useEndSession();
  const signOut = useSignOut();
  const [all, setAll] = useState(false);
  const endOne = async (row: SessionRow) => {
    if (row.current) return signOut(false);
    await end.mutateAsync(row.id);
    toast(words.ended);
  };
  return (
    <AccessPage
      title={words.title}
      actions={
        <Button variant="default" onClick={() => setAll(true)}>
          {words.endAll}
        </Button>
      }
    >
      <Panel flush>
        <Answer query={query} rows={4}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon="access" title={words.emptyTitle} text={words.emptyText} />
            ) : (
              <Table
                label={words.title}
                columns={COLUMNS}
                rows={rows}
                rowKey={({ id }) => id}
                rowName={({ name, address }) => `${name}, ${address}`}
                actions={(row) => (
                  <Button
                    size="compact-sm"
                    variant="default"
                    aria-label={`${words.end}: ${row.name}, ${row.address}`}
                    onClick={() => void endOne(row)}
                  >
                    {words.end}
                  </Button>
                )}
              />
            )
          }
        </Answer>
      </Panel>
      <Dialog
        title={words.endAll}
        opened={all}
        onClose={() => setAll(false)}
        submit={words.endAll}
        onSubmit={() => signOut(true)}
      >
        <p>{words.endAllText}</p>
      </Dialog>
    </AccessPage>
  );
}

const COLUMNS: readonly Column<SessionRow>[] = [
  {
    key: 'who',
    label: words.who,
    cell: ({ name, current }) => (
      <span className="row">
        <span className="break">{name}</span>
        {current && <Mark tone="info">{words.current}</Mark>}
      </span>
    ),
  },
  { key: 'from', label: words.from, cell: ({ address }) => <span className="mono">{address}</span> },
  {
    key: 'browser',
    label: words.browser,
    cell: ({ userAgent }) => <span className="break small">{browserOf(userAgent)}</span>,
  },
  { key: 'since', label: words.since, cell: ({ createdAt }) => <Time at={createdAt} /> },
  { key: 'seen', label: words.lastSeen, cell: ({ lastSeenAt }) => <Time at={lastSeenAt} /> },
  { key: 'ends', label: words.expires, cell: ({ expiresAt }) => <Time at={expiresAt} /> },
];

/** `Firefox 130 on Linux`, or the whole words when it is something else. */
function browserOf(userAgent: string): string {
  const browser = /(Firefox|Edg|OPR|Chrome|Version)\/(\d+)/.exec(userAgent);
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux|CrOS/.exec(userAgent)?.[0];
  if (browser === null || system === undefined) return userAgent.slice(0, 60);
  const names: Readonly<Record<string, string>> = { Edg: 'Edge', OPR: 'Opera', Version: 'Safari' };
  return `${names[browser[1] ?? ''] ?? browser[1]} ${browser[2]} on ${system.replace('Mac OS X', 'macOS')}`;
}

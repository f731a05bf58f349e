import { Button } from '@mantine/core';
import { useState } from 'react';
import { type HistoryEntry, useRevert, useSettingsHistory, useSettingsList } from '../../api/settings.ts';
import { Link } from '../../app/Link.tsx';
import { HISTORY_PATH, placeOfSetting } from '../../app/setting-place.ts';
import { Dialog } from '../../parts/Dialog.tsx';
import { Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.settings.history;
const RECENT = 5;
const LOOKED_AT = 100;

/** The latest changes of these settings, each with its way back. */
export function RecentChanges({ keys }: { readonly keys: readonly string[] }) {
  const history = useSettingsHistory(LOOKED_AT);
  const rows = (history.data ?? []).filter(({ key }) => keys.includes(key)).slice(0, RECENT);
  if (rows.length === 0) return null;
  return (
    <div className="recent">
      <Panel title={words.recent} id="recent" flush actions={<Link href={HISTORY_PATH}>{words.all}</Link>}>
        <HistoryTable rows={rows} />
      </Panel>
    </div>
  );
}

/** Author, old → new, revert. */
export function HistoryTable({ rows }: { readonly rows: readonly HistoryEntry[] }) {
  const [reverting, setReverting] = useState<HistoryEntry | null>(null);
  const labels = useSettingsList().data?.settings;
  const label = (key: string) => labels?.find((one) => one.key === key)?.label ?? key;
  const isSecret = (key: string) => labels?.find((one) => one.key === key)?.secret === true;
  const columns: Column<HistoryEntry>[] = [
    {
      key: 'what',
      label: words.what,
      cell: ({ key }) => (
        <>
          <Link href={placeOfSetting(key)}>{label(key)}</Link>
          <div className="dim small mono break">{key}</div>
        </>
      ),
    },
    { key: 'from', label: words.from, cell: (row) => <Value text={row.old} /> },
    { key: 'to', label: words.to, cell: (row) => <Value text={row.new} /> },
    { key: 'who', label: words.who, cell: ({ author }) => <span className="break">{author}</span> },
    { key: 'when', label: words.when, cell: ({ at }) => <Time at={at} /> },
  ];
  return (
    <>
      <Table
        label={words.title}
        columns={columns}
        rows={rows}
        rowKey={({ n }) => String(n)}
        rowName={({ key }) => label(key)}
        actions={(row) =>
          isSecret(row.key) ? null : (
            <Button
              size="compact-sm"
              variant="default"
              aria-label={`${words.revert} ${label(row.key)}`}
              onClick={() => setReverting(row)}
            >
              {words.revert}
            </Button>
          )
        }
      />
      <RevertDialog entry={reverting} label={label} onClose={() => setReverting(null)} />
    </>
  );
}

function Value({ text }: { readonly text: string | null }) {
  if (text === null) return <span className="dim">{words.toDefault}</span>;
  return <span className="mono break">{text === '' ? t.settings.empty : text}</span>;
}

interface RevertProps {
  readonly entry: HistoryEntry | null;
  readonly label: (key: string) => string;
  readonly onClose: () => void;
}

function RevertDialog({ entry, label, onClose }: RevertProps) {
  const revert = useRevert();
  const submit = async () => {
    if (entry === null) return;
    await revert.mutateAsync(entry.n);
    toast(words.reverted(label(entry.key)));
  };
  return (
    <Dialog
      title={words.revertTitle}
      opened={entry !== null}
      onClose={onClose}
      submit={words.revert}
      onSubmit={submit}
    >
      {entry !== null && <p>{words.revertText(label(entry.key), entry.old ?? words.toDefault)}</p>}
    </Dialog>
  );
}

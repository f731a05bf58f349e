import { Button, FileInput, Textarea } from '@mantine/core';
import { useState } from 'react';
import { type ImportLine, type ImportReport, useImport } from '../../api/directory.ts';
import { navigate } from '../../app/router.ts';
import { Mark, Note, ProblemNote } from '../../parts/Note.tsx';
import { Empty, Page, Panel } from '../../parts/Page.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.directory.importing;
const MAX_BYTES = 1024 * 1024;
const EXAMPLE = `address,password,quota,targets
anna@example.com,a long password,2GB,
bert@example.com,another long one,,
sales@example.com,,,anna@example.com bert@example.com`;

/** Many accounts and aliases at once: every line is looked at before any is made. */
export default function Import() {
  const [text, setText] = useState('');
  const [tooBig, setTooBig] = useState(false);
  const [report, setReport] = useState<ImportReport | null>(null);
  const { preview, apply } = useImport();
  const edit = (next: string) => {
    setText(next);
    setReport(null);
  };
  const load = async (file: File | null) => {
    setTooBig(file !== null && file.size > MAX_BYTES);
    if (file !== null && file.size <= MAX_BYTES) edit(await file.text());
  };
  const check = () => preview.mutate(text, { onSuccess: setReport });
  const run = () =>
    apply.mutate(text, {
      onSuccess: (done) => {
        setReport(done);
        if (!done.applied) return;
        toast(words.done(done.added));
        void navigate('/accounts');
      },
    });
  const error = apply.error ?? preview.error;
  return (
    <Page
      title={words.title}
      crumbs={[{ text: t.nav.people }, { text: t.nav.accounts, href: '/accounts' }]}
      more={words.more}
    >
      <div className="stack">
        <Panel>
          <div className="stack">
            <FileInput
              label={words.file}
              description={words.fileHelp}
              accept=".csv,text/csv,text/plain"
              className="import-file"
              clearable
              onChange={(file) => void load(file)}
            />
            {tooBig && <Note tone="bad">{words.tooBig}</Note>}
            <Textarea
              label={words.text}
              autosize
              minRows={6}
              maxRows={16}
              spellCheck={false}
              classNames={{ input: 'mono' }}
              value={text}
              onChange={(event) => edit(event.currentTarget.value)}
            />
            <details>
              <summary>{words.example}</summary>
              <pre className="pre">{EXAMPLE}</pre>
            </details>
            <div>
              <Button onClick={check} loading={preview.isPending} disabled={text.trim() === ''}>
                {words.check}
              </Button>
            </div>
            {error !== null && <ProblemNote error={error} />}
          </div>
        </Panel>
        <Preview report={report} onApply={run} applying={apply.isPending} />
      </div>
    </Page>
  );
}

interface PreviewProps {
  readonly report: ImportReport | null;
  readonly onApply: () => void;
  readonly applying: boolean;
}

function Preview({ report, onApply, applying }: PreviewProps) {
  if (report === null) {
    return (
      <Panel title={words.preview} id="preview" flush>
        <Empty icon="people" title={words.emptyTitle} text={words.emptyText} />
      </Panel>
    );
  }
  const bad = report.errors;
  const good = report.lines.filter(({ action }) => action === 'add').length;
  return (
    <Panel title={words.preview} id="preview" flush>
      <div className="panel-head" role="status">
        <span className="grow">
          {words.summary(good, bad)} {bad > 0 && words.withErrors}
        </span>
        <Button onClick={onApply} loading={applying} disabled={bad > 0 || good === 0}>
          {words.apply(good)}
        </Button>
      </div>
      <Table
        label={words.preview}
        columns={COLUMNS}
        rows={report.lines.toSorted(
          (a, b) => Number(b.action === 'error') - Number(a.action === 'error') || a.line - b.line,
        )}
        rowKey={({ line }) => String(line)}
        rowName={({ line }) => `${words.line} ${line}`}
      />
    </Panel>
  );
}

const TONES = { add: 'good', skip: 'plain', error: 'bad' } as const;

const COLUMNS: readonly Column<ImportLine>[] = [
  { key: 'line', label: words.line, cell: ({ line }) => `${words.line} ${line}` },
  { key: 'what', label: words.what, cell: ({ type }) => type },
  { key: 'address', label: words.address, cell: ({ address }) => <span className="break">{address}</span> },
  {
    key: 'result',
    label: words.result,
    plain: true,
    cell: ({ action, error, mend }) => (
      <>
        <Mark tone={TONES[action]}>{words.actions[action]}</Mark>{' '}
        {error !== null && <span className="break">{[error, mend].filter(Boolean).join('. ')}</span>}
      </>
    ),
  },
];

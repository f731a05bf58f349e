import { Button } from '@mantine/core';
import { useCheck } from '../../api/checks.ts';
import { Findings } from '../../parts/Findings.tsx';
import { ProblemNote } from '../../parts/Note.tsx';
import { Empty, Page, Panel } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';

const words = t.access.check;
const ORDER = ['error', 'warning', 'ok', 'skipped'];

/** Everything a mail server depends on, looked at now; each finding says what it means and what to do. */
export default function Check() {
  const check = useCheck();
  const run = (
    <Button onClick={() => check.mutate()} loading={check.isPending}>
      {words.run}
    </Button>
  );
  return (
    <Page title={words.title} crumbs={[{ text: t.nav.server }]} more={words.more} actions={run}>
      <Panel flush={check.data === undefined}>
        <div aria-live="polite">
          {check.error !== null && <ProblemNote error={check.error} />}
          {check.data === undefined && check.error === null && (
            <Empty
              icon="check"
              title={words.emptyTitle}
              text={check.isPending ? words.running : words.emptyText}
            />
          )}
          {check.data !== undefined && (
            <Findings
              findings={check.data.toSorted((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level))}
            />
          )}
        </div>
      </Panel>
    </Page>
  );
}

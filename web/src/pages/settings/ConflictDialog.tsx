import { Button, Modal } from '@mantine/core';
import { Table } from '../../parts/Table.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import type { SettingsForm } from './use-form.ts';

const words = t.settings.conflict;

/** Tells the second of two administrators what the first one changed, and lets them choose. */
export function ConflictDialog({ form }: { readonly form: SettingsForm }) {
  const { conflict, resolve } = form;
  const label = (key: string) => form.settings.find((one) => one.key === key)?.label ?? key;
  const mine = (key: string) =>
    form.isChanged(key) ? form.text(key) || t.settings.empty : <span className="dim">{words.notMine}</span>;
  return (
    <Modal opened={conflict !== null} onClose={resolve.lookAgain} title={words.title} size="xl">
      <div className="stack">
        <p>{words.text}</p>
        {conflict !== null && (
          <Table
            label={words.title}
            rows={conflict.changes}
            rowKey={({ n }) => String(n)}
            rowName={({ key }) => label(key)}
            columns={[
              { key: 'setting', label: words.setting, cell: ({ key }) => label(key) },
              {
                key: 'theirs',
                label: words.theirs,
                cell: ({ old, new: now }) => (
                  <span className="break">
                    {old ?? t.settings.history.toDefault} →{' '}
                    <strong>{now ?? t.settings.history.toDefault}</strong>
                  </span>
                ),
              },
              { key: 'mine', label: words.mine, cell: ({ key }) => mine(key) },
              {
                key: 'by',
                label: words.by,
                cell: ({ author, at }) => (
                  <>
                    {author}, <Time at={at} />
                  </>
                ),
              },
            ]}
          />
        )}
        <div className="actions dialog-actions">
          <Button variant="default" onClick={resolve.keepMine} loading={form.saving}>
            {words.keepMine}
          </Button>
          <Button variant="default" onClick={resolve.lookAgain}>
            {words.back}
          </Button>
          <Button onClick={resolve.takeTheirs} data-autofocus>
            {words.keepTheirs}
          </Button>
        </div>
      </div>
    </Modal>
  );
}

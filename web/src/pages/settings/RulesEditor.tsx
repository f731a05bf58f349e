import { Button, Checkbox, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Dialog } from '../../parts/Dialog.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { t } from '../../strings.ts';
import { entriesOf, entryOf, NO_PARTS, partsOf, type RuleParts } from './rule-text.ts';

const words = t.settings.rules;

interface RulesEditorProps {
  readonly id: string;
  readonly label: string;
  readonly text: string;
  readonly onChange: (text: string) => void;
}

interface Row {
  readonly index: number;
  readonly parts: RuleParts;
  readonly entry: string;
}

/** The rules for destinations as a table; what is edited is part of the form and saved with it. */
export function RulesEditor({ id, label, text, onChange }: RulesEditorProps) {
  const entries = entriesOf(text);
  const [edited, setEdited] = useState<number | null>(null);
  const put = (index: number, entry: string | null) => {
    const next = entries.flatMap((one, place) => (place !== index ? [one] : entry === null ? [] : [entry]));
    onChange([...next, ...(index >= entries.length && entry !== null ? [entry] : [])].join(','));
  };
  const rows = entries.map((entry, index) => ({ index, entry, parts: partsOf(entry) }));
  return (
    <fieldset className="rules" id={id} aria-describedby={`${id}-help ${id}-said`} tabIndex={-1}>
      <legend>{label}</legend>
      {rows.length === 0 ? (
        <p className="dim">{words.none}</p>
      ) : (
        <Table
          label={label}
          columns={COLUMNS}
          rows={rows}
          rowKey={({ index, entry }) => `${index} ${entry}`}
          rowName={({ parts }) => parts.domain}
          actions={({ index, parts }) => (
            <div className="rule-actions">
              <Act name="edit" what={parts.domain} onClick={() => setEdited(index)} />
              <Act name="remove" what={parts.domain} onClick={() => put(index, null)} />
            </div>
          )}
        />
      )}
      <div>
        <Button size="xs" variant="default" onClick={() => setEdited(entries.length)}>
          {words.add}
        </Button>
      </div>
      {edited !== null && (
        <RuleDialog
          parts={rows[edited]?.parts ?? NO_PARTS}
          isNew={edited >= entries.length}
          onClose={() => setEdited(null)}
          onDone={(entry) => put(edited, entry)}
        />
      )}
    </fieldset>
  );
}

const COLUMNS: readonly Column<Row>[] = [
  {
    key: 'domain',
    label: words.domain,
    cell: ({ parts }) => <span className="mono break">{parts.domain}</span>,
  },
  {
    key: 'rule',
    label: words.rule,
    plain: true,
    cell: ({ entry }) => <span className="mono break small">{entry.replace(/^\S+\s*/, '')}</span>,
  },
];

interface ActProps {
  readonly name: 'edit' | 'remove';
  readonly what: string;
  readonly onClick: () => void;
}

function Act({ name, what, onClick }: ActProps) {
  return (
    <button type="button" className="text-button" onClick={onClick}>
      {words[name]}
      <span className="hidden">: {what}</span>
    </button>
  );
}

interface RuleDialogProps {
  readonly parts: RuleParts;
  readonly isNew: boolean;
  readonly onClose: () => void;
  readonly onDone: (entry: string) => void;
}

function RuleDialog({ parts, isNew, onClose, onDone }: RuleDialogProps) {
  const [draft, setDraft] = useState(parts);
  const set = (change: Partial<RuleParts>) => setDraft((before) => ({ ...before, ...change }));
  const incomplete = draft.domain.trim() === '' || (draft.route === 'host' && draft.host.trim() === '');
  const field = (key: 'domain' | 'host' | 'port' | 'concurrency' | 'rate') => ({
    label: words.fields[key],
    description: words.more[key],
    value: draft[key],
    autoComplete: 'off',
    spellCheck: false,
    onChange: (event: { readonly currentTarget: { readonly value: string } }) =>
      set({ [key]: event.currentTarget.value }),
  });
  const isSmtpHost = draft.route.startsWith('smtp-host');
  return (
    <Dialog
      title={isNew ? words.addTitle : words.editTitle}
      opened
      onClose={onClose}
      submit={isNew ? words.addSubmit : words.editSubmit}
      disabled={incomplete}
      onSubmit={async () => onDone(entryOf(isSmtpHost ? { ...draft, tls: '' } : draft))}
    >
      <TextInput {...field('domain')} data-autofocus />
      <NativeSelect
        label={words.fields.route}
        data={choicesOf(words.routes, draft.route)}
        value={draft.route}
        onChange={(event) => set({ route: event.currentTarget.value })}
      />
      {draft.route === 'host' && <TextInput {...field('host')} />}
      {(draft.route === '' || draft.route === 'mx') && <TextInput {...field('port')} inputMode="numeric" />}
      {!isSmtpHost && (
        <NativeSelect
          label={words.fields.tls}
          data={choicesOf(words.tls, draft.tls)}
          value={draft.tls}
          onChange={(event) => set({ tls: event.currentTarget.value })}
        />
      )}
      <TextInput {...field('concurrency')} inputMode="numeric" />
      <TextInput {...field('rate')} inputMode="numeric" />
      <Checkbox
        label={words.fields.ipv4}
        checked={draft.ipv4}
        onChange={(event) => set({ ipv4: event.currentTarget.checked })}
      />
      <Checkbox
        label={words.fields.hold}
        checked={draft.hold}
        onChange={(event) => set({ hold: event.currentTarget.checked })}
      />
    </Dialog>
  );
}

/** The choices, and what is chosen already should it not be among them. */
function choicesOf(named: Readonly<Record<string, string>>, chosen: string) {
  const known = Object.entries(named).map(([value, label]) => ({ value, label }));
  return known.some(({ value }) => value === chosen) ? known : [...known, { value: chosen, label: chosen }];
}

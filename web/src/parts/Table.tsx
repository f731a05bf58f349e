import './table.css';
import { Checkbox } from '@mantine/core';
import type { ReactNode } from 'react';
import { t } from '../strings.ts';

export interface Column<Row> {
  readonly key: string;
  readonly label: string;
  readonly cell: (row: Row) => ReactNode;
  readonly number?: boolean;
  /** On a phone the label is left out, where the value speaks for itself. */
  readonly plain?: boolean;
}

export interface Selection {
  readonly selected: ReadonlySet<string>;
  readonly onChange: (selected: ReadonlySet<string>) => void;
}

interface TableProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  /** What a row is called when it is selected or acted on. */
  readonly rowName: (row: Row) => string;
  readonly selection?: Selection;
  readonly actions?: (row: Row) => ReactNode;
}

/** Rows under column heads; on a phone each row is a card. */
export function Table<Row>(props: TableProps<Row>) {
  const { label, columns, rows, rowKey, rowName, selection, actions } = props;
  return (
    <div className="table-wrap">
      <table className="table">
        <caption className="hidden">{label}</caption>
        <thead>
          <tr>
            {selection !== undefined && (
              <th className="cell-check">
                <SelectAll rows={rows.map(rowKey)} selection={selection} />
              </th>
            )}
            {columns.map(({ key, label: head, number }) => (
              <th key={key} scope="col" className={number ? 'number' : undefined}>
                {head}
              </th>
            ))}
            {actions !== undefined && (
              <th scope="col" className="cell-actions">
                <span className="hidden">{t.actions.actions}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {selection !== undefined && (
                <td className="cell-check">
                  <SelectOne id={rowKey(row)} name={rowName(row)} selection={selection} />
                </td>
              )}
              {columns.map(({ key, label: head, cell, number, plain }, at) => (
                <td
                  key={key}
                  data-label={at === 0 || plain ? '' : head}
                  className={
                    [at === 0 ? 'cell-first' : '', number ? 'number' : ''].join(' ').trim() || undefined
                  }
                >
                  {cell(row)}
                </td>
              ))}
              {actions !== undefined && <td className="cell-actions">{actions(row)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function SelectAll({ rows, selection }: { readonly rows: readonly string[]; readonly selection: Selection }) {
  const { selected, onChange } = selection;
  const all = rows.length > 0 && rows.every((id) => selected.has(id));
  return (
    <Checkbox
      size="xs"
      aria-label={t.mail.selectAll}
      checked={all}
      indeterminate={!all && rows.some((id) => selected.has(id))}
      onChange={() => onChange(new Set(all ? [] : rows))}
    />
  );
}

function SelectOne({
  id,
  name,
  selection,
}: {
  readonly id: string;
  readonly name: string;
  readonly selection: Selection;
}) {
  const { selected, onChange } = selection;
  const toggle = () => {
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    onChange(next);
  };
  return (
    <Checkbox
      size="xs"
      aria-label={`${t.mail.select} ${name}`}
      checked={selected.has(id)}
      onChange={toggle}
    />
  );
}

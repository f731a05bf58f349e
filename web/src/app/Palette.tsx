import './palette.css';
import { Modal } from '@mantine/core';
import { type KeyboardEvent, useMemo, useState } from 'react';
import { useSettingsList } from '../api/settings.ts';
import { Icon } from '../parts/Icon.tsx';
import { t } from '../strings.ts';
import { pages } from './pages.ts';
import { navigate } from './router.ts';
import { placeOfSetting } from './setting-place.ts';

interface Entry {
  readonly id: string;
  readonly title: string;
  readonly more: string;
  readonly kind: string;
  readonly href: string;
  /** What it is found by, in lower case. */
  readonly words: string;
}

const MOST_SHOWN = 12;

/** Ctrl+K: every page and every setting by its label, key or the words of its help. */
export function Palette({ opened, onClose }: { readonly opened: boolean; readonly onClose: () => void }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t.palette.title}
      centered={false}
      yOffset="10vh"
      size="lg"
      padding="sm"
      transitionProps={{ duration: 0 }}
    >
      <Finder onClose={onClose} />
    </Modal>
  );
}

function useEntries(): readonly Entry[] {
  const settings = useSettingsList().data;
  return useMemo(() => {
    const ofPages = pages.flatMap(({ pattern, title, group, words = '' }): Entry[] =>
      title === undefined
        ? []
        : [
            {
              id: pattern,
              title,
              more: group ?? '',
              kind: t.palette.page,
              href: pattern,
              words: `${title} ${group ?? ''} ${words}`.toLowerCase(),
            },
          ],
    );
    const ofSettings = (settings?.settings ?? []).map(
      ({ key, label, help }): Entry => ({
        id: key,
        title: label,
        more: key,
        kind: t.palette.setting,
        href: placeOfSetting(key),
        words: `${label} ${key} ${help}`.toLowerCase(),
      }),
    );
    return [...ofPages, ...ofSettings];
  }, [settings]);
}

/** All words must be there; those that stand in the title come first. */
function search(entries: readonly Entry[], text: string): readonly Entry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = entries.filter((entry) => words.every((word) => entry.words.includes(word)));
  const weight = (entry: Entry) => {
    const title = entry.title.toLowerCase();
    if (title.startsWith(text.trim().toLowerCase())) return 0;
    return words.every((word) => title.includes(word)) ? 1 : 2;
  };
  return hits.toSorted((a, b) => weight(a) - weight(b)).slice(0, MOST_SHOWN);
}

function Finder({ onClose }: { readonly onClose: () => void }) {
  const entries = useEntries();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const found = search(entries, text);
  const go = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    onClose();
    void navigate(entry.href);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter') go(found[at]);
    else if (event.key === 'ArrowDown') setAt((at + 1) % Math.max(found.length, 1));
    else if (event.key === 'ArrowUp') setAt((at + found.length - 1) % Math.max(found.length, 1));
    else return;
    event.preventDefault();
  };
  return (
    <div className="finder">
      <div className="finder-box">
        <Icon name="search" />
        <input
          role="combobox"
          aria-expanded="true"
          aria-controls="finder-results"
          aria-activedescendant={found[at] === undefined ? undefined : `finder-${at}`}
          aria-label={t.palette.placeholder}
          placeholder={t.palette.placeholder}
          value={text}
          data-autofocus
          onChange={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
      </div>
      <div id="finder-results" role="listbox" aria-label={t.palette.results}>
        {found.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the box above, as the combobox pattern has it
          <div
            key={entry.id}
            id={`finder-${index}`}
            role="option"
            aria-selected={index === at}
            tabIndex={-1}
            className="finder-row"
            onClick={() => go(entry)}
            onMouseMove={() => setAt(index)}
          >
            <span className="finder-words">
              <span>{entry.title}</span>
              <span className="dim small break">{entry.more}</span>
            </span>
            <span className="finder-kind small">{entry.kind}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="finder-nothing dim">{t.palette.nothing}</p>}
    </div>
  );
}

/**
 * Writes docs/settings.md from the table of settings. With `--check` it writes nothing and exits 1 when the
 * page is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AnySetting } from '../src/settings/definition.ts';
import { allSettings } from '../src/settings/table.ts';

const PAGE = new URL('../docs/settings.md', import.meta.url);

const HEAD = `# Settings

Made from the table of settings by \`npm run docs\`; do not edit.

Change one with \`cmail settings set KEY VALUE\`, several that belong together in one command, or a file with
\`cmail settings apply FILE\`. A change is checked as a whole, is in force within a second without a restart,
and can be undone: \`cmail settings history\`, \`cmail settings revert N\`.

How values are written: \`on\` or \`off\` (also \`true\`, \`false\`); sizes in bytes or with KB, MB, GB (1 KB = 1024
bytes); durations as a plain number in the unit of the setting or with s, m, h, d; lists separated by commas,
\`""\` for an empty one.
`;

/** Settings by the part of the page they stand on, in the order of the table. */
const CHAPTERS: readonly {
  readonly title: string;
  readonly holds: (key: string, index: number) => boolean;
}[] = [
  { title: 'SMTP Configuration > Advanced', holds: (_, index) => index < 8 },
  { title: 'SMTP host', holds: (key) => key.startsWith('smtp.host.') },
  { title: 'Phase timeouts', holds: (key) => key.startsWith('smtp.timeout.') },
  { title: 'Queue, routing and receiving', holds: () => true },
];

function chapterOf(setting: AnySetting): string {
  const index = allSettings.indexOf(setting);
  return CHAPTERS.find(({ holds }) => holds(setting.key, index))?.title ?? '';
}

function entry({ key, label, type, default: value, help, effect, secret }: AnySetting): string {
  const unit = type.unit === '' ? '' : `, in ${type.unit}`;
  const facts = [
    `${type.name}${unit}`,
    `allowed: ${type.range}`,
    secret ? 'kept encrypted, never shown' : `default: \`${value === '' ? '""' : value}\``,
  ];
  return `### \`${key}\`: ${label}\n\n${facts.join('; ')}\n\n${help}\n\nTakes effect: ${effect}\n`;
}

function page(): string {
  const order = [CHAPTERS[0], CHAPTERS[1], CHAPTERS[3], CHAPTERS[2]];
  const chapters = order.map((chapter) => {
    const entries = allSettings.filter((setting) => chapterOf(setting) === chapter?.title).map(entry);
    return `## ${chapter?.title}\n\n${entries.join('\n')}`;
  });
  return [HEAD, ...chapters].join('\n');
}

function written(): string {
  try {
    return readFileSync(PAGE, 'utf8');
  } catch {
    // Not there yet: then it is out of date.
    return '';
  }
}

const text = page();
if (!process.argv.includes('--check')) writeFileSync(PAGE, text);
else if (written() !== text) {
  console.error('docs/settings.md is out of date: run "npm run docs".');
  process.exitCode = 1;
}

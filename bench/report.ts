import { readFile, writeFile } from 'node:fs/promises';
import { type AcceptFigures, SESSIONS, sourceArguments } from './accept.ts';
import { median } from './machine.ts';
import { MEMORY_MESSAGE_MEGABYTES, MEMORY_SESSIONS, type MemoryFigures } from './memory.ts';
import type { ThreadProfile } from './profile.ts';

const START = '<!-- figures: written by npm run bench -->';
const END = '<!-- end of figures -->';
const INTRODUCTION = `# Benchmarks

Figures of one machine on one day; take the ratios with you, not the numbers. \`npm run bench\` takes them anew
and writes them here.

`;

/** What a bench has to reach, of `smtp-sink` with connections kept. */
export const AIM_RATIO = 0.5;
export const AIM_MEGABYTES = 250;

export interface Report {
  readonly machine: string;
  readonly date: string;
  readonly messages: number;
  readonly accept: readonly AcceptFigures[];
  /** Taken when the ratio is below its aim. */
  readonly profile: readonly ThreadProfile[];
  readonly memory: MemoryFigures;
}

/** Replaces the figures between the marks in `file`, and keeps what people wrote around them. */
export async function writeReport(file: string, report: Report): Promise<void> {
  await replaceBetween(file, START, END, formatReport(report));
}

/** The same for a section of its own, between `<!-- NAME -->` and `<!-- end of NAME -->`. */
export function writeSection(file: string, name: string, text: string): Promise<void> {
  return replaceBetween(file, `<!-- ${name} -->`, `<!-- end of ${name} -->`, text);
}

async function replaceBetween(file: string, from: string, to: string, text: string): Promise<void> {
  const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return `${INTRODUCTION}${from}\n${to}\n`;
    throw error;
  });
  const start = before.indexOf(from);
  const end = before.indexOf(to);
  if (start < 0 || end < start) throw new Error(`${file} has no place for the figures: ${from} … ${to}`);
  await writeFile(file, `${before.slice(0, start)}${from}\n\n${text}\n${before.slice(end)}`);
}

export function formatReport(report: Report): string {
  return [
    `Taken ${report.date} by \`npm run bench\` on: ${report.machine}.`,
    '',
    ...formatAccept(report),
    '',
    ...formatProfile(report.profile),
    ...formatMemory(report.memory),
    '',
  ].join('\n');
}

function formatAccept(report: Report): string[] {
  const rows = report.accept.map((figures) => {
    const name = figures.kept ? 'kept' : 'one a message';
    const cells = [name, per(figures.cmail), per(figures.sink), figures.ratio.toFixed(2)];
    return `| ${cells.join(' | ')} |`;
  });
  const rounds = report.accept.map((figures) => {
    const name = figures.kept ? 'kept' : 'one a message';
    return `${name}: CMail ${figures.cmail.join(', ')}; smtp-sink ${figures.sink.join(', ')}`;
  });
  const command = (kept: boolean) =>
    `smtp-source ${sourceArguments(kept, report.messages).join(' ')} HOST:PORT`;
  return [
    '## Durable accept',
    '',
    `10 KB messages, ${SESSIONS} sessions, messages a second, median of the rounds. CMail has each message on`,
    'stable storage in a mailbox before its 250; `smtp-sink` (Postfix) stores nothing. Both in the same run, in turns.',
    '',
    '| connections | CMail | smtp-sink | ratio |',
    '|---|---|---|---|',
    ...rows,
    '',
    `Aim: ${AIM_RATIO} of \`smtp-sink\` with connections kept. Rounds in order — ${rounds.join('; ')}.`,
    '',
    '```',
    command(true),
    command(false),
    '```',
  ];
}

function per(values: readonly number[]): string {
  return Math.round(median(values)).toLocaleString('en');
}

function formatProfile(profile: readonly ThreadProfile[]): string[] {
  if (profile.length === 0) return [];
  const threads = profile.flatMap((thread) => [
    '',
    `Busy ${thread.busySeconds.toFixed(1)} s:`,
    '',
    ...thread.top.map((line) => `- ${(line.share * 100).toFixed(1)} % \`${line.name}\``),
  ]);
  return [
    '### Where the time goes',
    '',
    'Connections kept, own time of each function by thread.',
    ...threads,
    '',
  ];
}

function formatMemory(memory: MemoryFigures): string[] {
  const { before, after } = memory;
  return [
    '## Memory',
    '',
    `${MEMORY_SESSIONS} sessions each sending ${MEMORY_MESSAGE_MEGABYTES} MB at once, Buffer Size 4, resident memory of the server:`,
    `at most ${after.peakMegabytes} MB (VmHWM), ${after.residentMegabytes} MB right after, ${before.residentMegabytes} MB before;`,
    `all accepted after ${memory.seconds.toFixed(0)} s. Aim: under ${AIM_MEGABYTES} MB.`,
  ];
}

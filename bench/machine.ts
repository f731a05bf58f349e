import { readFile } from 'node:fs/promises';
import { arch, cpus, release, tmpdir, totalmem } from 'node:os';
import { runCommand } from '../test/support/command.ts';

const MEGABYTE = 1024 * 1024;

/** One line that says what the figures were taken on. */
export async function describeMachine(): Promise<string> {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? 'unknown';
  const memory = `${Math.round(totalmem() / MEGABYTE / 1024)} GB memory`;
  const kernel = `Linux ${release()} ${arch()}`;
  return `${processors.length} cores (${model}), ${memory}, ${kernel}, Node ${process.version}, ${await describeDisk()}`;
}

/** The file system that holds the data folders of a run. What is under it cannot be told from inside a virtual machine. */
async function describeDisk(): Promise<string> {
  const { code, stdout } = await runCommand('df', ['--output=fstype', tmpdir()]);
  const type = stdout.toString().trim().split('\n').at(-1);
  return `data on ${code === 0 && type ? type : 'an unknown file system'} (disk type unknown)`;
}

export interface Memory {
  /** Resident now (VmRSS). */
  readonly residentMegabytes: number;
  /** The most that was ever resident (VmHWM). */
  readonly peakMegabytes: number;
}

/** Memory of a process as the kernel counts it. */
export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1];
    if (kilobytes === undefined) throw new Error(`no ${name} in /proc/${pid}/status`);
    return Math.round(Number(kilobytes) / 1024);
  };
  return { residentMegabytes: megabytes('VmRSS'), peakMegabytes: megabytes('VmHWM') };
}

/** Of the kernel's accounts of processor time (proc(5)); 100 on every Linux. */
const TICKS_A_SECOND = 100;

/** Processor time of a process so far; with `children` also of those that have ended. 0 when it is gone. */
export async function cpuSecondsOf(pid: number, children: boolean): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, children ? 15 : 13).map(Number);
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_A_SECOND;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('no values');
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

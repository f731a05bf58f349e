import { spawn } from 'node:child_process';

/** What a finished command said; `code` is null when a signal ended it. */
export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Written to standard input, which is closed afterwards; without it standard input is empty. */
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The command is killed after this time. Default 60 s. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end. Rejects when it cannot be started or takes too long, with what it had said. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: options.env, cwd: options.cwd });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that ends before reading all of its input breaks the pipe; its exit code tells the rest.
    child.stdin.on('error', () => {});
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const said = Buffer.concat(stderr).toString();
      if (late) reject(new Error(`${command} did not end within ${timeoutMs} ms; it said: ${said}`));
      else resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: said });
    });
    child.stdin.end(options.input);
  });
}

/** As `runCommand`, and rejects when the exit code is not 0. */
export async function runChecked(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(command, args, options);
  if (result.code === 0) return result;
  throw new Error(
    `${command} ${args.join(' ')} ended with ${result.code ?? result.signal}: ${result.stderr}${result.stdout}`,
  );
}

import { UsageError } from './io.js';
const MAX_INPUT_BYTES = 64 * 1024;
const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACES = [0x08, 0x7f];
const LINE_ENDS = [0x0a, 0x0d];
/** The first line of standard input, without its line end. */
export async function readLine(io) {
    const parts = [];
    let bytes = 0;
    for await (const chunk of io.stdin) {
        const part = Buffer.from(chunk);
        parts.push(part);
        bytes += part.length;
        if (bytes > MAX_INPUT_BYTES)
            throw new UsageError('standard input is too long', 'Give one short line.');
        if (part.includes(0x0a))
            break;
    }
    const [line = ''] = Buffer.concat(parts).toString('utf8').split('\n', 1);
    return line.replace(/\r$/, '');
}
/** A new password: one line of standard input, or asked for twice on a terminal, without echo. */
export async function readNewPassword(io, fromStdin) {
    if (fromStdin)
        return readLine(io);
    if (!io.stdin.isTTY) {
        throw new UsageError('no password was given', 'Give it on standard input with --password-stdin.');
    }
    const first = await askHidden(io, 'New password: ');
    const second = await askHidden(io, 'Once more: ');
    if (first !== second)
        throw new UsageError('the two passwords differ', 'Run the command again.');
    return first;
}
/** One line typed on a terminal and not shown. */
export async function askHidden(io, question) {
    io.stderr.write(question);
    io.stdin.setRawMode?.(true);
    try {
        return await typedLine(io);
    }
    finally {
        io.stdin.setRawMode?.(false);
        io.stdin.pause();
        io.stderr.write('\n');
    }
}
function typedLine(io) {
    const typed = [];
    return new Promise((resolve, reject) => {
        const finish = (settle) => {
            io.stdin.off('data', take);
            settle();
        };
        const cancelled = () => reject(new UsageError('cancelled', 'Run the command again.'));
        const take = (chunk) => {
            for (const byte of Buffer.from(chunk)) {
                if (byte === CTRL_C || byte === CTRL_D)
                    return finish(cancelled);
                if (LINE_ENDS.includes(byte))
                    return finish(() => resolve(Buffer.from(typed).toString('utf8')));
                if (BACKSPACES.includes(byte)) {
                    // A character of several bytes goes whole: its continuation bytes first.
                    while (((typed.pop() ?? 0) & 0xc0) === 0x80)
                        ;
                }
                else if (typed.length < MAX_INPUT_BYTES)
                    typed.push(byte);
            }
        };
        io.stdin.on('data', take);
        io.stdin.resume();
    });
}

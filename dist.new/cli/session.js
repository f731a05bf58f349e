import { write } from './io.js';
import { formatTable, writeJson, writeJsonArray } from './output.js';
/** The two options every command takes. */
export function nodeOptions(command) {
    const { data, config } = command.optsWithGlobals();
    return { data, config };
}
/** Runs `work` with a connection and closes it, whatever happens. */
export async function withConnection(session, command, writes, work) {
    const connection = await session.connect({ ...nodeOptions(command), writes }, session.io);
    try {
        return await work(connection);
    }
    finally {
        await connection.close();
    }
}
/** A command that changes something and says so in a line. */
export function change(session, command, op, args, words) {
    return withConnection(session, command, true, async (connection) => {
        await write(session.io.stdout, `${words(await connection.call(op, args))}\n`);
    });
}
/** A command that reads one thing, for people or as JSON. */
export function read(session, command, op, args, format) {
    return withConnection(session, command, false, async (connection) => {
        const result = await connection.call(op, args);
        if (wantsJson(command))
            await writeJson(session.io, result);
        else
            await write(session.io.stdout, format(result));
        return result;
    });
}
/** A command that reads a list, page by page. */
export function readList(session, command, op, args, format, limit = Number.POSITIVE_INFINITY) {
    return withConnection(session, command, false, async (connection) => {
        const pages = allPages(connection, op, args, limit);
        if (wantsJson(command))
            return writeJsonArray(session.io, pages);
        let empty = true;
        for await (const rows of pages) {
            if (rows.length === 0)
                continue;
            empty = false;
            await write(session.io.stdout, formatTable(format.headings, rows.flatMap(format.rows)));
        }
        if (empty)
            await write(session.io.stdout, `${format.empty}\n`);
    });
}
async function* allPages(connection, op, args, limit) {
    let left = limit;
    let next = {};
    while (left > 0) {
        const bound = Number.isFinite(left) ? { limit: left } : {};
        const page = await connection.call(op, { ...args, ...bound, ...next });
        yield page.rows;
        if (page.next === null)
            return;
        left -= page.rows.length;
        next = { after: page.next };
    }
}
export function wantsJson(command) {
    return command.opts().json === true;
}

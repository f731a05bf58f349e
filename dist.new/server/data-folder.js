/**
 * The data folder: made private, kept by one process at a time. The lock is an open exclusive transaction
 * on a small SQLite file, so the kernel frees it however the process ends.
 */
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describeError, failed, ok } from '../mail/failure.js';
/** Creates the folder when it is missing and takes its lock, waiting `waitMs` for one who holds it. */
export function openDataFolder(path, waitMs) {
    // Passwords' hashes and people's mail: whatever is made from here on is its owner's alone.
    process.umask(0o077);
    const trouble = prepare(path);
    if (trouble !== null)
        return failed({ kind: 'unusable', message: trouble });
    let lock;
    try {
        lock = new DatabaseSync(join(path, 'cmail.lock'), { timeout: waitMs });
        lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    }
    catch (error) {
        lock?.close();
        if (!/locked|busy/i.test(describeError(error))) {
            return failed({
                kind: 'unusable',
                message: `The data folder ${path} cannot be used: ${describeError(error)}`,
            });
        }
        const message = `The data folder ${path} is in use by another CMail (its process id is in ${join(path, 'cmail.pid')}). Stop that one first, or name another folder with --data.`;
        return failed({ kind: 'locked', message });
    }
    const held = lock;
    return ok({
        path,
        databaseFile: join(path, 'cmail.db'),
        release: () => held.close(),
    });
}
function prepare(path) {
    try {
        makeFolder(path);
        if (!statSync(path).isDirectory())
            return `The data folder ${path} is not a folder. Name another one with --data.`;
        accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
        return null;
    }
    catch (error) {
        return `The data folder ${path} cannot be written: ${describeError(error)}. Give this user the rights, or name another folder with --data.`;
    }
}
/** Node's own recursive mkdir never returns where the kernel answers ENOENT, as below /proc. */
function makeFolder(path) {
    if (existsSync(path))
        return;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
}
/** `cmail.pid`, for whoever wants to signal the server. */
export async function writePidFile(folder) {
    await writeFile(join(folder.path, 'cmail.pid'), `${process.pid}\n`);
}
export async function removePidFile(folder) {
    await rm(join(folder.path, 'cmail.pid'), { force: true });
}

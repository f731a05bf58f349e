/** Where the control socket of a data folder is. */
import { lstat, mkdtemp, readFile, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
/** Longer paths do not fit into `sun_path` everywhere (104 bytes on some systems, 108 on Linux). */
const MAX_SOCKET_PATH_BYTES = 100;
const FOLDER_PREFIX = 'cmail-';
const SOCKET_NAME = 'cmail.sock';
function recordPath(dataDir) {
    return join(dataDir, 'cmail.sock.path');
}
/** The path to connect to: in the data folder, or the one recorded there. */
export async function findControlPath(dataDir) {
    const recorded = await readRecord(dataDir);
    return recorded ?? join(dataDir, SOCKET_NAME);
}
/**
 * A free path to listen on, what an ended server left behind removed. Call only under the lock of the data
 * folder. A long path is replaced by one in a private folder and recorded.
 */
export async function prepareControlPath(dataDir) {
    await removeControlPath(dataDir);
    const path = join(dataDir, SOCKET_NAME);
    if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES)
        return path;
    const roots = [tmpdir(), '/tmp'];
    const root = roots.find((one) => Buffer.byteLength(one) < MAX_SOCKET_PATH_BYTES - 30) ?? '/tmp';
    const short = join(await mkdtemp(join(root, FOLDER_PREFIX)), SOCKET_NAME);
    await writeFile(recordPath(dataDir), `${short}\n`, { mode: 0o600 });
    return short;
}
/** Removes socket, record and private folder. */
export async function removeControlPath(dataDir) {
    const recorded = await readRecord(dataDir);
    // Only what has the shape of ours is removed, whatever the record says.
    if (recorded !== undefined && basename(dirname(recorded)).startsWith(FOLDER_PREFIX)) {
        await removeSocket(recorded);
        await rmdir(dirname(recorded)).catch(ignoreMissing);
    }
    await rm(recordPath(dataDir), { force: true });
    await removeSocket(join(dataDir, SOCKET_NAME));
}
async function removeSocket(path) {
    const found = await lstat(path).catch(ignoreMissing);
    if (found?.isSocket())
        await unlink(path).catch(ignoreMissing);
}
async function readRecord(dataDir) {
    const text = await readFile(recordPath(dataDir), 'utf8').catch(ignoreMissing);
    const path = text?.trim();
    return path !== undefined && basename(path) === SOCKET_NAME ? path : undefined;
}
function ignoreMissing(error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
        return undefined;
    throw error;
}

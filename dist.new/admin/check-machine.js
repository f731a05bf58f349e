import { error, fine, warning } from './finding.js';
const MB = 1024 * 1024;
const FULL_BYTES = 100 * MB;
const LOW_BYTES = 1024 * MB;
const LOW_SHARE = 0.05;
/** What a clock may have been put back by keeping time, without a word. */
const CLOCK_TOLERANCE_MS = 60_000;
export function checkDisk(folder, { freeBytes, totalBytes }) {
    const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
    const text = `the disk of ${folder} has ${sizeText(freeBytes)} free of ${sizeText(totalBytes)} (${Math.floor(share * 100)} %)`;
    const mend = `Make room on the disk that holds ${folder}, or move the data folder to a larger one.`;
    if (freeBytes < FULL_BYTES) {
        const meaning = 'When it is full, all mail is put off with 452 and waits at its senders.';
        return error('disk', text, meaning, mend);
    }
    if (freeBytes < LOW_BYTES || share < LOW_SHARE) {
        return warning('disk', text, 'A busy day or one large mailbox may fill it; mail is then put off.', mend);
    }
    return fine('disk', text);
}
/** Rounded down, so that what is below a limit is not shown as reaching it. */
function sizeText(bytes) {
    if (bytes < 1024 * MB)
        return `${Math.floor(bytes / MB)} MB`;
    return `${(Math.floor((bytes / MB / 1024) * 10) / 10).toFixed(1)} GB`;
}
/** There is no clock outside to ask: but it cannot be earlier than what has happened already. */
export function checkClock({ nowMs, newestMs, builtAtMs }) {
    const now = timeText(nowMs);
    const meaning = 'Mail is dated wrongly, and the retry schedule and queue lifetime do not run as they should.';
    const mend = 'Set the clock of this machine and keep it right with NTP (systemd-timesyncd, chrony).';
    if (newestMs !== null && nowMs < newestMs - CLOCK_TOLERANCE_MS) {
        const text = `the clock says ${now}, before the newest time in the store, ${timeText(newestMs)}`;
        return error('clock', text, meaning, mend);
    }
    const builtYear = new Date(builtAtMs).getUTCFullYear();
    if (new Date(nowMs).getUTCFullYear() < builtYear) {
        const text = `the clock says ${now}, before the year in which this program was built, ${builtYear}`;
        return error('clock', text, meaning, mend);
    }
    return fine('clock', `the clock says ${now}, which fits the store and the program`);
}
function timeText(atMs) {
    return `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

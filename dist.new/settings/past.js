import { findSetting } from './table.js';
/** Entries read at a time. */
const PAGE = 1000;
/** Entries a refusal names. */
const MAX_SHOWN = 20;
/** null when the point is not in the history: an entry that does not exist, a time ahead of `now`. */
export async function stateAt(store, past, now = Date.now()) {
    if ('atMs' in past && past.atMs > now)
        return null;
    const before = new Map();
    let newest = 0;
    for await (const entry of newestFirst(store)) {
        newest ||= entry.n;
        if ('n' in past ? entry.n <= past.n : entry.at <= past.atMs)
            break;
        // The oldest of the entries undone has the last word.
        before.set(entry.key, entry.old);
    }
    if ('n' in past && past.n > newest)
        return null;
    return divide(before);
}
function divide(before) {
    const changes = [];
    const untouched = [];
    for (const [key, value] of before) {
        const setting = findSetting(key);
        if (setting === undefined)
            untouched.push({ key, text: 'not a setting of this version of CMail' });
        else if (setting.secret)
            untouched.push({ key, text: 'a secret, whose old value is not kept: it stays' });
        else
            changes.push({ key, value });
    }
    return { changes, untouched };
}
/** The newest entry's number (0 without one), and the newest entries after `n`, the oldest of them first. */
export async function changesSince(store, n) {
    const entries = await store.settingsHistory({ limit: MAX_SHOWN });
    return { newest: entries[0]?.n ?? 0, shown: entries.filter((entry) => entry.n > n).toReversed() };
}
async function* newestFirst(store) {
    for (let before = Number.MAX_SAFE_INTEGER;;) {
        const page = await store.settingsHistory({ limit: PAGE, before });
        yield* page;
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE)
            return;
        before = last.n;
    }
}

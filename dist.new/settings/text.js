export function parsed(value) {
    return { ok: true, value };
}
export function unparsed(reason, wouldDo) {
    return wouldDo === undefined ? { ok: false, reason } : { ok: false, reason, wouldDo };
}
/** `on|off`, also `true|false`; case does not matter. */
export function parseBoolean(text) {
    const word = text.trim().toLowerCase();
    if (word === 'on' || word === 'true')
        return parsed(true);
    if (word === 'off' || word === 'false')
        return parsed(false);
    return unparsed('not on or off');
}
export function formatBoolean(value) {
    return value ? 'on' : 'off';
}
/** A whole number in plain decimal notation. */
export function parseInteger(text) {
    const trimmed = text.trim();
    if (!/^[+-]?[0-9]{1,15}$/.test(trimmed)) {
        return unparsed(/^[0-9.]+ *[a-z]+$/i.test(trimmed) ? 'takes a number without a unit' : 'not a whole number');
    }
    return parsed(Number(trimmed));
}
const SIZE_FACTORS = {
    b: 1,
    kb: 1024,
    mb: 1024 ** 2,
    gb: 1024 ** 3,
    k: 1024,
    m: 1024 ** 2,
    g: 1024 ** 3,
};
/** A size: a number in `plainBytes` units, or with B, KB, MB or GB (1 KB = 1024); whole bytes. */
export function parseSize(text, plainBytes = 1) {
    const match = /^([+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?) *([a-z]*)$/i.exec(text.trim());
    if (!match)
        return unparsed('not a size');
    const unit = (match[2] ?? '').toLowerCase();
    const factor = unit === '' ? plainBytes : SIZE_FACTORS[unit];
    if (factor === undefined)
        return unparsed(`"${match[2]}" is not a unit of size; use B, KB, MB or GB`);
    const bytes = Number(match[1]) * factor;
    if (!Number.isSafeInteger(bytes))
        return unparsed('not a whole number of bytes');
    return parsed(bytes);
}
/** The shortest exact form: 50MB, 1536KB, 1000, 0. */
export function formatSize(bytes) {
    for (const [unit, factor] of [
        ['GB', 1024 ** 3],
        ['MB', 1024 ** 2],
        ['KB', 1024],
    ]) {
        if (bytes !== 0 && bytes % factor === 0)
            return `${bytes / factor}${unit}`;
    }
    return String(bytes);
}
const DURATION_FACTORS = {
    s: 1000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
};
/** A duration in ms: a number in `plainUnit`, or with s, m, h or d; whole seconds. */
export function parseDuration(text, plainUnit) {
    const match = /^([+-]?[0-9]{1,12}(?:\.[0-9]{1,6})?) *([a-z]*)$/i.exec(text.trim());
    if (!match)
        return unparsed('not a duration');
    const unit = (match[2] ?? '').toLowerCase() || plainUnit;
    const factor = DURATION_FACTORS[unit];
    if (factor === undefined)
        return unparsed(`"${match[2]}" is not a unit of time; use s, m, h or d`);
    const ms = Number(match[1]) * factor;
    if (!Number.isSafeInteger(ms) || ms % 1000 !== 0)
        return unparsed('not a whole number of seconds');
    return parsed(ms);
}
/** The shortest exact form: 5d, 90m, 30s, 0. */
export function formatDuration(ms) {
    if (ms === 0)
        return '0';
    for (const unit of ['d', 'h', 'm']) {
        if (ms % DURATION_FACTORS[unit] === 0)
            return `${ms / DURATION_FACTORS[unit]}${unit}`;
    }
    return `${ms / DURATION_FACTORS.s}s`;
}
/** The entries of a comma-separated list; '' has none. An empty entry among others is kept, to be refused. */
export function splitList(text) {
    return text.trim() === '' ? [] : text.split(',').map((entry) => entry.trim());
}

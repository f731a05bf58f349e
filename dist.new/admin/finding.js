export function fine(topic, text) {
    return { level: 'ok', topic, text };
}
/** Something that was not looked at; `mend` says how it would be. */
export function skipped(topic, text, meaning, mend) {
    return { level: 'skipped', topic, text, meaning, mend };
}
export function warning(topic, text, meaning, mend) {
    return { level: 'warning', topic, text, meaning, mend };
}
export function error(topic, text, meaning, mend) {
    return { level: 'error', topic, text, meaning, mend };
}

/** Settings files: TOML with the dotted keys. */
import { parse, TomlDate, TomlError } from 'smol-toml';
/** Largest settings file read. */
export const SETTINGS_FILE_BYTES = 512 * 1024;
/** Begins the comment that says which version of the settings a file was exported from. */
export const VERSION_LINE = '# version: ';
const MAX_DEPTH = 16;
/** Reads a settings file into changes, one for each key present; values are texts still to be checked. */
export function readSettingsFile(text) {
    if (Buffer.byteLength(text) > SETTINGS_FILE_BYTES) {
        return { ok: false, error: { line: null, reason: `larger than ${SETTINGS_FILE_BYTES / 1024} KB` } };
    }
    try {
        const changes = [];
        flatten(parse(text), [], changes);
        return { ok: true, changes, version: versionOf(text) };
    }
    catch (error) {
        if (error instanceof TomlError) {
            const reason = (error.message.split('\n')[0] ?? '').replace('Invalid TOML document: ', '');
            return { ok: false, error: { line: error.line, reason: `not valid TOML: ${reason}` } };
        }
        if (error instanceof UnusableValue)
            return { ok: false, error: { line: null, reason: error.message } };
        throw error;
    }
}
/** Only from the comments at the top: further down the words may be part of a value. */
function versionOf(text) {
    for (const line of text.split('\n')) {
        if (!line.startsWith('#'))
            return null;
        const digits = line.startsWith(VERSION_LINE) ? line.slice(VERSION_LINE.length).trim() : '';
        if (/^\d{1,15}$/.test(digits))
            return Number(digits);
    }
    return null;
}
class UnusableValue extends Error {
}
function flatten(value, path, changes) {
    if (path.length > MAX_DEPTH)
        throw new UnusableValue('tables are nested too deep');
    if (typeof value !== 'object' || Array.isArray(value) || value instanceof TomlDate) {
        changes.push({ key: path.join('.'), value: valueText(value, path.join('.')) });
        return;
    }
    for (const [name, inner] of Object.entries(value))
        flatten(inner, [...path, name], changes);
}
function valueText(value, key) {
    if (typeof value === 'boolean')
        return value ? 'on' : 'off';
    if (typeof value === 'number' || typeof value === 'bigint')
        return String(value);
    if (typeof value === 'string')
        return value;
    if (Array.isArray(value))
        return value.map((entry) => entryText(entry, key)).join(',');
    throw new UnusableValue(`${key}: a date is not a value of a setting`);
}
function entryText(entry, key) {
    if (typeof entry === 'number' || typeof entry === 'bigint')
        return String(entry);
    if (typeof entry === 'string' && entry !== '' && !entry.includes(','))
        return entry;
    throw new UnusableValue(`${key}: an entry of a list must be one number or one text without a comma`);
}
/** One line of a settings file. */
export function tomlLine(key, value) {
    // JSON's escapes are a subset of those of TOML basic strings, except for DEL, which no setting may hold.
    return `${key} = ${JSON.stringify(value).replaceAll('","', '", "')}`;
}

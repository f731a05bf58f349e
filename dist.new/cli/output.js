/** Output for people (aligned tables, local times, readable sizes) and as JSON. */
import { write } from './io.js';
/** What a server or a sender wrote must not steer the terminal. */
export function plain(text) {
    return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}
/** Rows under headings, columns aligned; the last column is not padded. */
export function formatTable(headings, rows) {
    const all = [headings, ...rows.map((row) => row.map(plain))];
    const widths = headings.map((_, column) => Math.max(...all.map((row) => [...(row[column] ?? '')].length)));
    return all
        .map((row) => `${row
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`)
        .join('');
}
function pad(text, width) {
    return text + ' '.repeat(Math.max(0, width - [...text].length));
}
/** `2026-11-22 21:50:57` in local time; `-` without one. */
export function formatTime(at) {
    if (at === null)
        return '-';
    const date = new Date(at);
    const two = (value) => String(value).padStart(2, '0');
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
/** `12 KB`, `3.4 MB`; exact below 1 KB. */
export function formatBytes(bytes) {
    let value = bytes;
    let unit = 'B';
    for (const larger of ['KB', 'MB', 'GB', 'TB']) {
        if (value < 1024)
            break;
        value /= 1024;
        unit = larger;
    }
    return `${value < 10 && unit !== 'B' ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
export async function writeJson(io, value) {
    await write(io.stdout, `${JSON.stringify(value, null, 2)}\n`);
}
/** A JSON array written element by element as the pages come. */
export async function writeJsonArray(io, pages) {
    let separator = '[\n';
    for await (const rows of pages) {
        for (const row of rows) {
            await write(io.stdout, `${separator}  ${JSON.stringify(row)}`);
            separator = ',\n';
        }
    }
    await write(io.stdout, separator === '[\n' ? '[]\n' : '\n]\n');
}
/** Any JSON as indented lines for people. */
export function formatTree(value, indent = '') {
    if (Array.isArray(value))
        return value.map((one) => treeEntry('-', one, indent)).join('');
    if (typeof value !== 'object' || value === null)
        return `${indent}${scalar(value)}\n`;
    const entries = Object.entries(value);
    const width = Math.max(0, ...entries.map(([key]) => key.length));
    return entries.map(([key, inner]) => treeEntry(`${key}:`.padEnd(width + 1), inner, indent)).join('');
}
function treeEntry(label, value, indent) {
    if (typeof value !== 'object' || value === null)
        return `${indent}${label} ${scalar(value)}\n`;
    if (Object.keys(value).length === 0)
        return `${indent}${label} none\n`;
    return `${indent}${label.trimEnd()}\n${formatTree(value, `${indent}  `)}`;
}
function scalar(value) {
    if (value === null || value === undefined)
        return '-';
    if (typeof value === 'boolean')
        return value ? 'yes' : 'no';
    return plain(String(value));
}

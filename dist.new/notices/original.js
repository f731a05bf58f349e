/** What a notice takes of the original's header at most; cut at the end of a line. */
export const ORIGINAL_HEADER_LIMIT_BYTES = 64 * 1024;
const FIELD_START = /^[!-9;-~]+[ \t]*:/;
/**
 * The header section of a stored message: the lines CMail added, then the message's own, CRLF-ended, at most
 * `ORIGINAL_HEADER_LIMIT_BYTES`. Bytes are kept as `latin1` characters. Reads no more of the body than that.
 */
export async function readOriginalHeader(added, body) {
    let text = Buffer.from(added, 'utf8').toString('latin1');
    if (body !== null) {
        for await (const chunk of body.chunks()) {
            const room = Math.max(0, ORIGINAL_HEADER_LIMIT_BYTES + 1 - text.length);
            text += Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, room)).toString('latin1');
            if (text.length > ORIGINAL_HEADER_LIMIT_BYTES || text.includes('\r\n\r\n'))
                break;
        }
    }
    return headerSection(text);
}
/** Lines up to the blank one, or to one that cannot belong to a header, within the limit. */
function headerSection(text) {
    let whole = text;
    if (text.length > ORIGINAL_HEADER_LIMIT_BYTES) {
        const cut = text.slice(0, ORIGINAL_HEADER_LIMIT_BYTES);
        whole = cut.slice(0, cut.lastIndexOf('\n') + 1);
    }
    let header = '';
    for (const line of whole.split(/\r\n|\r|\n/)) {
        const continues = header !== '' && /^[ \t]/.test(line);
        if (!continues && !FIELD_START.test(line))
            break;
        header += `${line}\r\n`;
    }
    return header;
}
/** The value of the first field of that name, unfolded, as UTF-8 text; undefined without one. */
export function originalField(header, name) {
    const lines = header.split('\r\n');
    const prefix = `${name.toLowerCase()}:`;
    const at = lines.findIndex((line) => line
        .toLowerCase()
        .replace(/[ \t]+:/, ':')
        .startsWith(prefix));
    if (at < 0)
        return undefined;
    let value = (lines[at] ?? '').replace(/^[^:]*:/, '');
    for (let next = at + 1; /^[ \t]/.test(lines[next] ?? ''); next += 1)
        value += lines[next];
    return Buffer.from(value, 'latin1').toString('utf8').trim();
}
/** Decodes the encoded-words of a field (RFC 2047) for people; what cannot be decoded stays as it is. */
export function decodeWords(value) {
    return value
        .replace(/\?=\s+=\?/g, '?==?')
        .replace(/=\?([^?*]+)[^?]*\?([bq])\?([^?]*)\?=/gi, (word, charset, encoding, data) => {
        const bytes = encoding.toLowerCase() === 'b'
            ? Buffer.from(data, 'base64')
            : Buffer.from(data
                .replace(/_/g, ' ')
                .replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))), 'latin1');
        try {
            return new TextDecoder(charset).decode(bytes);
        }
        catch {
            // A character set nobody knows.
            return word;
        }
    });
}

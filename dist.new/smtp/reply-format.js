/** Text of one reply line: 512 octets (RFC 5321 §4.5.3.1.5) less code, enhanced code and CRLF. */
const MAX_TEXT_BYTES = 480;
/**
 * A reply as it goes over the wire, every line CRLF-ended. Control characters become `?`, so that no text
 * can forge a line; so does what is not ASCII, unless the client asked for SMTPUTF8 (RFC 6531 §3.7.4.2).
 * Lines that would exceed the limit are continued on further ones.
 */
export function formatReply(reply, utf8) {
    const lines = reply.lines.flatMap((line) => wrap(clean(line, utf8)));
    const enhanced = reply.enhanced === undefined ? '' : `${reply.enhanced} `;
    let text = '';
    for (const [index, line] of lines.entries()) {
        text += `${reply.code}${index + 1 < lines.length ? '-' : ' '}${enhanced}${line}\r\n`;
    }
    return text;
}
function clean(line, utf8) {
    if (/^[ -~]*$/.test(line))
        return line;
    return utf8 ? line.toWellFormed().replace(/\p{Cc}/gu, '?') : line.replace(/[^ -~]/gu, '?');
}
function wrap(line) {
    if (line.length * 3 <= MAX_TEXT_BYTES || Buffer.byteLength(line) <= MAX_TEXT_BYTES)
        return [line];
    const parts = [];
    let part = '';
    let bytes = 0;
    for (const character of line) {
        const size = Buffer.byteLength(character);
        if (bytes + size > MAX_TEXT_BYTES) {
            parts.push(part);
            part = '';
            bytes = 0;
        }
        part += character;
        bytes += size;
    }
    return [...parts, part];
}

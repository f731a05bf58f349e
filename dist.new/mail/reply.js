export function reply(code, enhanced, ...lines) {
    return enhanced === undefined ? { code, lines } : { code, enhanced, lines };
}
/** The reply as one line for people, a log or a DSN `Diagnostic-Code`. */
export function replyText(value) {
    const words = value.lines.join(' ');
    return value.enhanced === undefined ? `${value.code} ${words}` : `${value.code} ${value.enhanced} ${words}`;
}

export function formatMessageId(id) {
    return id.toString(36).toUpperCase().padStart(6, '0');
}
/** The number behind a printed queue ID, or undefined when the text is not one. */
export function parseMessageId(text) {
    if (!/^[0-9A-Za-z]{1,10}$/.test(text))
        return undefined;
    const id = Number.parseInt(text, 36);
    return Number.isSafeInteger(id) && id > 0 ? id : undefined;
}

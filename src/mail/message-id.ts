/**
 * The queue ID of a message. The store counts them (in blocks, so that one is known before the body is
 * stored and several nodes never collide); people see them in base 36, at least six characters.
 */
export type MessageId = number;

export function formatMessageId(id: MessageId): string {
  return id.toString(36).toUpperCase().padStart(6, '0');
}

/** The number behind a printed queue ID, or undefined when the text is not one. */
export function parseMessageId(text: string): MessageId | undefined {
  if (!/^[0-9A-Za-z]{1,10}$/.test(text)) return undefined;
  const id = Number.parseInt(text, 36);
  return Number.isSafeInteger(id) && id > 0 ? id : undefined;
}

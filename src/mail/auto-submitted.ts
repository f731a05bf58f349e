const FIELD = /^auto-submitted[ \t]*:((?:[^\r\n]|\r\n[ \t])*)/im;

/** Whether a message says that no person sent it (RFC 3834 §5); `header` is its header section, CRLF-ended. */
export function isAutoSubmitted(header: string): boolean {
  const value = FIELD.exec(header)?.[1];
  return value !== undefined && !/^\s*no\b/i.test(value.replace(/\([^)]*\)/g, ''));
}

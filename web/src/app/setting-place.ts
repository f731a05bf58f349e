/** Which page a setting stands on. */

/** In the order of the page. */
export const ADVANCED_KEYS = [
  'smtp.bufferSize',
  'smtp.socketTimeout',
  'smtp.maxIncomingSize',
  'smtp.useMxResolution',
  'smtp.fallbackToSmtpHost',
  'smtp.outboundPort',
  'smtp.refuseUnknownUsers',
  'smtp.assumeExternal',
] as const;

export const ADVANCED_PATH = '/configuration/smtp/advanced';
export const SMTP_PATH = '/configuration/smtp';
export const HISTORY_PATH = '/configuration/smtp/history';

export function isAdvanced(key: string): boolean {
  return (ADVANCED_KEYS as readonly string[]).includes(key);
}

/** The id of a setting's field, which addresses of the page may point at. */
export function fieldId(key: string): string {
  return `field-${key.replaceAll('.', '-')}`;
}

/** The address of a setting's field. */
export function placeOfSetting(key: string): string {
  return `${isAdvanced(key) ? ADVANCED_PATH : SMTP_PATH}#${fieldId(key)}`;
}

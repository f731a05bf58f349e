import { formatMessageId, type MessageId } from './message-id.ts';

/** The timeline entry of a message about which a notice was made. */
export function noticeEvent(
  notice: { readonly id: MessageId; readonly recipients: readonly { readonly address: string }[] },
  kind: 'failure' | 'delay' | 'success',
) {
  const to = notice.recipients.map(({ address }) => address);
  const detail = { id: formatMessageId(notice.id), to, notice: kind };
  return { kind: 'notice', recipient: null, detail } as const;
}

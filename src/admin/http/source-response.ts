/** A whole message as a download, in parts: memory does not depend on its size. */
import { formatMessageId } from '../../mail/message-id.ts';
import type { AdminContext } from '../context.ts';
import { runOperation } from '../operations.ts';
import { idArgument } from '../queue-operations.ts';

interface Part {
  readonly content: string;
  readonly sizeBytes: number;
  readonly next: number | null;
}

export async function sourceResponse(context: AdminContext, id: string): Promise<Response> {
  const name = formatMessageId(idArgument(id));
  const read = (fromByte: number) =>
    runOperation(context, 'message.source', { id, fromByte }) as Promise<Part>;
  const first = await read(0);
  let next: Part | null = first;
  const stream = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      if (next === null) return controller.close();
      controller.enqueue(Buffer.from(next.content, 'base64'));
      next = next.next === null ? null : await read(next.next);
    },
  });
  return new Response(stream, {
    headers: {
      'content-type': 'message/rfc822',
      'content-length': String(first.sizeBytes),
      'content-disposition': `attachment; filename="${name}.eml"`,
    },
  });
}

/** Lists come in pages: each names where the next one begins, or null at the end. */
interface Paged {
  readonly next: string | null;
}

export const pagesOf = {
  initialPageParam: '' as string,
  getNextPageParam: (last: Paged): string | undefined => last.next ?? undefined,
};

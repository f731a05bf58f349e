import { Button } from '@mantine/core';
import { t } from '../strings.ts';

interface Paged {
  readonly hasNextPage: boolean;
  readonly isFetchingNextPage: boolean;
  readonly fetchNextPage: () => unknown;
}

/** The next page of a list, below it; absent at the end. */
export function MoreButton({ query }: { readonly query: Paged }) {
  if (!query.hasNextPage) return null;
  return (
    <div className="table-foot">
      <Button
        variant="default"
        size="xs"
        loading={query.isFetchingNextPage}
        onClick={() => void query.fetchNextPage()}
      >
        {t.actions.more}
      </Button>
    </div>
  );
}

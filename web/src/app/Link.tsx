import type { ComponentProps, MouseEvent } from 'react';
import { navigate } from './router.ts';

/** A link within the page; with a modifier key or another button the browser does what it always does. */
export function Link({ href, onClick, ...rest }: ComponentProps<'a'> & { readonly href: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void navigate(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}

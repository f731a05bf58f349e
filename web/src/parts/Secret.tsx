import { Button, CopyButton } from '@mantine/core';
import { t } from '../strings.ts';

interface SecretProps {
  readonly text: string;
  /** By which tests find it. */
  readonly testId: string;
}

/** A secret that is shown once, with a button that copies it. */
export function Secret({ text, testId }: SecretProps) {
  return (
    <div className="secret">
      <code className="grow" data-testid={testId}>
        {text}
      </code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Button size="xs" variant="default" onClick={copy}>
            {copied ? t.actions.copied : t.actions.copy}
          </Button>
        )}
      </CopyButton>
    </div>
  );
}

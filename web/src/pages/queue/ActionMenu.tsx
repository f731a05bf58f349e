import { ActionIcon, Button, Menu } from '@mantine/core';
import type { QueueAction, QueueSelector } from '../../api/queue.ts';
import { Icon, type IconName } from '../../parts/Icon.tsx';
import { t } from '../../strings.ts';
import type { Wanted } from './ActionDialog.tsx';

const words = t.mail.queue;

const ICONS: Readonly<Record<QueueAction, IconName>> = {
  retry: 'send',
  hold: 'pause',
  release: 'undo',
  delete: 'trash',
};
const ACTIONS: readonly QueueAction[] = ['retry', 'hold', 'release', 'delete'];
const NAMES: Readonly<Record<QueueAction, string>> = {
  retry: words.retry,
  hold: words.hold,
  release: words.release,
  delete: words.remove,
};

interface MenuProps {
  readonly selector: QueueSelector;
  readonly what: string;
  readonly onWant: (wanted: Wanted) => void;
  /** A button with words instead of three dots. */
  readonly label?: string;
}

/** The four things that can be done to a part of the queue. */
export function ActionMenu({ selector, what, onWant, label }: MenuProps) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        {label === undefined ? (
          <ActionIcon variant="subtle" color="gray" aria-label={`${t.actions.actions}: ${what}`}>
            <Icon name="dots" />
          </ActionIcon>
        ) : (
          <Button variant="default" rightSection={<Icon name="down" size={14} />}>
            {label}
          </Button>
        )}
      </Menu.Target>
      <Menu.Dropdown>
        {ACTIONS.map((action) => (
          <Menu.Item
            key={action}
            leftSection={<Icon name={ICONS[action]} size={16} />}
            onClick={() => onWant({ action, selector, what })}
          >
            {NAMES[action]}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** The same four as buttons, for what is selected. */
export function ActionButtons({ selector, what, onWant }: Omit<MenuProps, 'label'>) {
  return (
    <div className="actions">
      {ACTIONS.map((action) => (
        <Button key={action} size="xs" variant="default" onClick={() => onWant({ action, selector, what })}>
          {NAMES[action]}
        </Button>
      ))}
    </div>
  );
}

/** New places in the queue. Pure. */
import { byTurn, type Ticket } from '../devices/turn.ts';

type Place = Pick<Ticket, 'at' | 'priority'>;

/** Returns the place before or after all others that are not urgent, or right before one of them. */
export function newPlace(others: readonly Ticket[], where: 'first' | 'last' | Ticket): Place {
  const line = others.filter(({ urgent }) => !urgent).sort(byTurn);
  const [first] = line;
  const last = line.at(-1);
  if (!first || !last) return { at: Date.now(), priority: 0 };
  if (where === 'first') return { at: first.at - 1, priority: first.priority };
  if (where === 'last') return { at: last.at + 1, priority: last.priority };
  const previous = line[line.indexOf(where) - 1];
  const { priority } = where;
  return { priority, at: previous?.priority === priority ? (previous.at + where.at) / 2 : where.at - 1 };
}

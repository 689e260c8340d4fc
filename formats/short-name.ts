const MAX_NAME = 200;

/** Cuts the middle out of a name that is too long to be shown. */
export function shortName(name: string, most = MAX_NAME): string {
  if (name.length <= most) return name;
  const end = Math.floor((most - 1) / 2);
  return `${name.slice(0, most - 1 - end)}…${name.slice(-end)}`;
}

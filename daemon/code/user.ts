import { userInfo } from 'node:os';

/** This process's user, for people: `anna (1000)`. */
export function me(): string {
  try {
    const { username, uid } = userInfo();
    return `${username} (${uid})`;
  } catch {
    return `user ${process.geteuid?.()}`; // In a container a user need not have a name.
  }
}

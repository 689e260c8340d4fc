import { userInfo } from 'node:os';

/** Names this process's user for people: `anna (1000)`. */
export function currentUser(): string {
  try {
    const { username, uid } = userInfo();
    return `${username} (${uid})`;
  } catch {
    return `user ${process.geteuid?.()}`; // In a container a user need not have a name.
  }
}

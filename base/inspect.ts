/** Debugging of the daemon and of what it starts, during development. */

/**
 * Returns Node's flag that lets a debugger in, or nothing. `TRAINSTASH_INSPECT` is the daemon's port on 127.0.0.1; a trainer or
 * runner takes the next one (`offset` 1). Every user of this machine can reach the port and run code through it.
 */
export function inspectFlags(offset: number, env: NodeJS.ProcessEnv = process.env): string[] {
  const port = Number(env.TRAINSTASH_INSPECT);
  if (!Number.isInteger(port) || port < 1024 || port + offset > 65_535) return [];
  return [`--inspect=127.0.0.1:${port + offset}`];
}

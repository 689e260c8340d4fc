/** The ways to an engine's folder: the same calls, here and through a real sshd. */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { LocalReach } from '../../daemon/engines/reaches/local.ts';
import { SshReach } from '../../daemon/engines/reaches/ssh.ts';
import { temporaryFolder } from '../support/folder.ts';
import { sshServer, whyNoSsh } from '../support/ssh-server.ts';

/** Larger than what is sent or fetched at once, and no whole number of blocks. */
const LARGE_BYTES = (64 << 20) + 12_345;

for (const kind of ['this machine', 'ssh'] as const)
  describe.skipIf(kind === 'ssh' && whyNoSsh() !== null)(`a reach by ${kind}`, () => {
    async function reach() {
      if (kind === 'this machine') return new LocalReach('cluster');
      const { variables } = await sshServer();
      vi.stubEnv('PATH', variables.PATH!);
      return new SshReach('cluster', 'login');
    }

    test('copies folders there and back, with files that no single buffer should hold', async () => {
      const there = await reach();
      const folder = temporaryFolder();
      const from = join(folder, 'from');
      mkdirSync(join(from, 'deeper'), { recursive: true });
      writeFileSync(join(from, 'large'), 'begin');
      truncateSync(join(from, 'large'), LARGE_BYTES);
      writeFileSync(join(from, 'deeper/small'), 'small');
      writeFileSync(join(from, 'empty'), '');
      await there.upload(from, join(folder, "it's there/up"));
      expect(await there.download(join(folder, "it's there/up"), join(folder, 'back'))).toBe(true);
      for (const name of ['large', 'deeper/small', 'empty'])
        expect(readFileSync(join(folder, 'back', name)).equals(readFileSync(join(from, name)))).toBe(true);
      expect(await there.download(join(folder, 'nowhere'), join(folder, 'no'))).toBe(false);
      there.close();
    });
  });

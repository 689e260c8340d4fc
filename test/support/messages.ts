/** All requests of the protocol, for the tests that try each. */
import * as backend from '../../protocol/messages/backend.ts';
import * as branch from '../../protocol/messages/branch.ts';
import * as checkpoint from '../../protocol/messages/checkpoint.ts';
import * as daemon from '../../protocol/messages/daemon.ts';
import * as diff from '../../protocol/messages/diff.ts';
import * as exporting from '../../protocol/messages/export.ts';
import * as file from '../../protocol/messages/file.ts';
import * as metrics from '../../protocol/messages/metrics.ts';
import * as project from '../../protocol/messages/project.ts';
import * as remote from '../../protocol/messages/remote.ts';
import type { Request } from '../../protocol/messages/request.ts';
import * as run from '../../protocol/messages/run.ts';
import * as store from '../../protocol/messages/store.ts';

const NOUNS = [backend, branch, checkpoint, daemon, diff, exporting, file, metrics, project, remote, run, store];

export const REQUESTS: Request<unknown, unknown>[] = NOUNS.flatMap((noun) => Object.values(noun)).filter(
  (value): value is Request<unknown, unknown> => typeof value === 'object' && 'method' in value && 'schema' in value,
);

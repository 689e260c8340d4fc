/** Notices what the daemon asks of a runner: the file `control`, and keystrokes in `input/`. */
import { mkdirSync } from 'node:fs';
import { type Watch, watchFolders } from '../base/watch.ts';
import { SESSION_FILES } from '../protocol/session.ts';
import type { SessionDirectory } from '../session/directory.ts';

/** Interval of looks where file events do not arrive (network and pass-through file systems). */
const LOOK_MS = 1_000;

export interface RequestHandlers {
  control: () => void;
  input: () => void;
}

/** Calls the handler at once, after each change of `control`, and at an interval. */
export function watchControl(directory: SessionDirectory, handle: () => void): Watch {
  const watch = watchFolders([directory.path], {
    hint: (name) => {
      if (name === null || name === SESSION_FILES.control) handle();
    },
    look: handle,
    everyMs: LOOK_MS,
  });
  // What came before the watch.
  handle();
  return watch;
}

/** Calls a handler after each request, and both at an interval. One may be called although there is nothing. */
export function watchRequests(directory: SessionDirectory, handlers: RequestHandlers): Watch {
  const input = directory.file('input');
  try {
    // It cannot be watched before it is there.
    mkdirSync(input, { recursive: true, mode: 0o700 });
  } catch {
    // A full disk. The looks go on.
  }
  const keys = watchFolders([input], { hint: handlers.input, look: handlers.input, everyMs: LOOK_MS });
  const control = watchControl(directory, handlers.control);
  // What came before the watch.
  handlers.input();
  return {
    close() {
      keys.close();
      control.close();
    },
  };
}

/** Asks the Python of a command for the versions that its numbers depend on. Runs no code of the project. */
import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import { COMPARED_PACKAGES } from '../../../protocol/packages.ts';
import { trainingEnvironment } from '../../../session/launch.ts';

const PROBE_MS = 5_000;
const PROBE = `
import sys, json
from importlib import metadata
facts = {"python": "%d.%d.%d" % sys.version_info[:3]}
for name in sys.argv[1:]:
    try: facts[name] = metadata.version(name)
    except Exception: pass
print(json.dumps(facts))`;

/** Resolves with the versions; empty when the program is not a Python, or does not answer. */
export function pythonFacts(program: string, environment: Record<string, string>): Promise<Record<string, string>> {
  if (!/^(pypy|python)[\d.]*(\.exe)?$/i.test(basename(program))) return Promise.resolve({});
  return new Promise((resolve) => {
    // Not in the project's folder, which Python would look for modules in first.
    const options = { env: trainingEnvironment(environment), timeout: PROBE_MS, cwd: '/' };
    execFile(program, ['-c', PROBE, ...COMPARED_PACKAGES], options, (error, stdout) => {
      try {
        resolve(error ? {} : (JSON.parse(stdout) as Record<string, string>));
      } catch {
        resolve({});
      }
    });
  });
}

/** A package that is imported from the folder in which it is developed. */
export interface EditableInstall {
  name: string;
  path: string;
}

const EDITABLE = `
import json
from importlib import metadata
from urllib.parse import urlparse
from urllib.request import url2pathname
found = []
for one in metadata.distributions():
    try:
        about = json.loads(one.read_text("direct_url.json") or "{}")
        if about.get("dir_info", {}).get("editable"):
            found.append({"name": one.metadata["Name"], "path": url2pathname(urlparse(about["url"]).path)})
    except Exception: pass
print(json.dumps(found))`;

/** Lists the packages that a Python imports in editable mode; empty when it does not answer. */
export function editableInstalls(program: string, environment: Record<string, string>): Promise<EditableInstall[]> {
  if (!/^(pypy|python)[\d.]*(\.exe)?$/i.test(basename(program))) return Promise.resolve([]);
  return new Promise((resolve) => {
    const options = { env: trainingEnvironment(environment), timeout: PROBE_MS, cwd: '/' };
    execFile(program, ['-c', EDITABLE], options, (error, stdout) => {
      try {
        resolve(error ? [] : (JSON.parse(stdout) as EditableInstall[]));
      } catch {
        resolve([]);
      }
    });
  });
}

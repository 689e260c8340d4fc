/** Tries an engine: its folder, its commands, and a job of one second that looks at what the nodes have. */
import type { EngineConfig } from '../../../protocol/engines.ts';
import { toWire } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import type { EngineFinding } from '../../../protocol/messages/engine.ts';
import { engineConfig, openEngine } from '../../engines/open.ts';
import type { ProjectContext } from '../context.ts';
import { prepareGround } from './place.ts';

/**
 * Program of the job. It is a script of the shell, since a node may have nothing else; each line that it prints is one finding.
 * `$1` is the Node that runs would use, `$2` the file that they start, `$3` the place.
 */
const PROBE = `say() { echo "trainstash-test $1 $2 $3"; }
node=$1
"$node" -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' > /dev/null 2>&1 && say node fine "$("$node" --version) on $(hostname)" || say node missing "$(hostname) has no Node 20 or newer as $node ($("$node" --version 2>&1 | head -n 1)): load a module in \\"setup\\", or set TRAINSTASH_NODE there"
[ -r "$2" ] && say folder fine "the nodes see it" || say folder missing "$(hostname) does not see $2: \\"folder\\" has to be on a disk that all nodes share"
touch "$3/.written" 2> /dev/null && say writing fine "the nodes write to it" || say writing missing "$(hostname) may not write to $3"
python=$(command -v python || command -v python3)
[ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' && say python fine "$("$python" --version 2>&1), $python" || say python missing "there is no Python 3.9 or newer on the PATH of $(hostname) ($("\${python:-python}" --version 2>&1 | head -n 1)): load a module or activate an environment in \\"setup\\""
`;

/** Tries the engine; the last finding says how it ended. */
export async function testEngine(
  context: ProjectContext,
  engines: Readonly<Record<string, EngineConfig>>,
  name: string,
  environment: Record<string, string>,
): Promise<EngineFinding[]> {
  const config = engineConfig(engines, name);
  const engine = openEngine(name, config);
  const findings: EngineFinding[] = [];
  try {
    const ground = await prepareGround(context, engine, config);
    findings.push({ what: 'the folder', isFine: true, text: `${ground.folder} can be written from here` });
    const own = `${ground.folder}/tests/${randomId()}`;
    const place = `${own}/1`;
    await engine.reach.folder(place);
    const script = `${place}/probe.sh`;
    await engine.reach.write(script, PROBE);
    const work = {
      name: 'trainstash-test',
      places: [place] as [string],
      key: randomId(),
      program: ['/bin/sh', script, ...ground.program],
      nodes: config.nodes,
      graceSeconds: 10,
      secrets: {},
      environment,
    };
    for await (const step of engine.test(work)) findings.push(step);
    await engine.reach.remove(own);
  } catch (error) {
    findings.push({ what: name, isFine: false, text: toWire(error).message });
  } finally {
    engine.close();
  }
  return findings;
}

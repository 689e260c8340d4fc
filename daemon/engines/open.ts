/** Opens an engine by its settings. */
import { type EngineConfig, engineFolder, HERE_NAME } from '../../protocol/engines.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { nearest } from '../../protocol/nearest.ts';
import type { Engine } from './contract.ts';
import { HostEngine } from './host/host.ts';
import { KubernetesEngine } from './kubernetes/kubernetes.ts';
import { RayEngine } from './ray/ray.ts';
import { LocalReach } from './reaches/local.ts';
import { SshReach } from './reaches/ssh.ts';
import { SlurmEngine } from './slurm/slurm.ts';

export function openEngine(name: string, config: EngineConfig): Engine {
  // A host writes the files that it is asked for itself.
  if (config.type === 'ssh') return new HostEngine(name, config, new SshReach(name, config.host!, 0));
  const reach = config.host === undefined ? new LocalReach(name) : new SshReach(name, config.host);
  if (config.type === 'ray') return new RayEngine(name, config, reach);
  if (config.type === 'kubernetes') return new KubernetesEngine(name, config, reach, engineFolder(config));
  return new SlurmEngine(name, config, reach);
}

/** Returns the settings of an engine. Throws `notFound`. */
export function engineConfig(engines: Readonly<Record<string, EngineConfig>>, name: string): EngineConfig {
  const config = Object.hasOwn(engines, name) ? engines[name] : undefined;
  if (config) return config;
  const known = Object.keys(engines);
  const near = nearest(name, [...known, HERE_NAME]);
  const hint =
    known.length === 0 ? '"engines" in trainstash.json describes them' : `These are known: ${known.join(', ')}`;
  throw new TrainstashError(
    'notFound',
    `There is no engine "${name}".${near ? ` Did you mean "${near}"?` : ''} ${hint}. Nothing was started.`,
    { what: 'engine', query: name },
  );
}

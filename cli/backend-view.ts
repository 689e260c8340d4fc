/** Describes the TensorFlow.js backends for people. */
import { type BackendFinding, type UntriedBackend, WEBGPU_VERSION } from '../protocol/backends.ts';
import { paint, wrapped } from './format.ts';

const NAME_COLUMNS = 22;

export interface Survey {
  findings: readonly BackendFinding[];
  auto: { backend: string; reason: string };
  /** Packages in the folder that were not loaded. */
  untried: readonly UntriedBackend[];
}

export function backendLines({ findings, auto, untried }: Survey, width: number): string[] {
  const lines = [paint('bold', 'TensorFlow.js backends on this machine'), ''];
  for (const finding of findings) {
    const { backend, threads, problem, missing, stepMs, environment, unsupported } = finding;
    const mark = problem === null ? paint('green', '✔') : missing === null ? paint('red', '✘') : paint('dim', '–');
    const name = threads > 1 ? `${backend}, ${threads} threads` : backend;
    const device = [environment.device, environment.driver].filter(Boolean).join(', ');
    const brought = untried.find((one) => one.backend === backend);
    const what =
      (brought && `not loaded: ${brought.from} is part of this folder, which is not trusted`) ??
      problem ??
      [
        stepMs === null ? 'plain JavaScript' : `${stepMs.toFixed(1)} ms per step`,
        [device, environment.library].filter(Boolean).join(', '),
        unsupported.length > 0 ? `(lacks: ${unsupported.join(', ')})` : '',
      ]
        .filter(Boolean)
        .join('  ');
    const [first = '', ...rest] = wrapped(what, width - NAME_COLUMNS - 4);
    lines.push(`  ${mark} ${name.padEnd(NAME_COLUMNS)}${first}`);
    for (const line of rest) lines.push(`    ${' '.repeat(NAME_COLUMNS)}${line}`);
  }
  lines.push('', ...wrapped(`\`auto\` takes ${auto.backend}: ${auto.reason}.`, width));
  if (untried.length > 0)
    lines.push('', ...wrapped('`trainstash doctor --trust` trusts this folder and tries its packages.', width));
  const advice = adviceOn(findings);
  if (advice.length > 0) lines.push('', ...advice.flatMap((text) => wrapped(text, width)));
  return lines;
}

/** Says how to get a GPU backend if none is usable. */
function adviceOn(findings: readonly BackendFinding[]): string[] {
  const of = (name: string) => findings.find(({ backend }) => backend === name);
  const [webgpu, native, tensorflow] = [of('webgpu'), of('tfjs-node-gpu'), of('tensorflow')];
  if ([webgpu, native].some((one) => one?.problem === null) || tensorflow?.environment.cuda) return [];
  return [
    webgpu?.missing
      ? `To train on a GPU: \`trainstash gpu\` installs webgpu ${WEBGPU_VERSION} from npm (130 MB) and tries it. It needs a driver for Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows), and works with GPUs of any vendor.`
      : '',
    tensorflow?.missing && process.platform === 'linux'
      ? 'With an NVIDIA GPU: `trainstash backend install tensorflow` installs TensorFlow for CUDA from PyPI, or uses that of your Python.'
      : '',
    webgpu && !webgpu.missing
      ? 'For webgpu on Linux: `apt install libvulkan1 vulkan-tools` and your GPU’s driver; `vulkaninfo --summary` must then list the GPU, not just llvmpipe.'
      : '',
    native && !native.missing
      ? 'tfjs-node-gpu was built in 2022 for CUDA 11.2 with cuDNN 8.1, which LD_LIBRARY_PATH must include; it does not find a newer CUDA. On GPUs newer than Ampere (RTX 40 and 50, H100 and later) it starts slowly or not at all: use webgpu there.'
      : '',
  ].filter(Boolean);
}

/** What people see of the back ends of TensorFlow.js. */
import { type BackendFinding, type UntriedBackend, WEBGPU_VERSION } from '../protocol/backends.ts';
import { paint, wrapped } from './format.ts';

const NAME_COLUMNS = 22;

export interface Survey {
  findings: readonly BackendFinding[];
  auto: { backend: string; reason: string };
  /** Packages that the folder brings, and that were not loaded. */
  untried: readonly UntriedBackend[];
}

export function backendLines({ findings, auto, untried }: Survey, width: number): string[] {
  const lines = [paint('bold', 'Back ends of TensorFlow.js on this machine'), ''];
  for (const finding of findings) {
    const { backend, threads, problem, missing, stepMs, environment } = finding;
    const mark = problem === null ? paint('green', '✔') : missing === null ? paint('red', '✘') : paint('dim', '–');
    const name = threads > 1 ? `${backend}, ${threads} threads` : backend;
    const device = [environment.device, environment.driver].filter(Boolean).join(', ');
    const brought = untried.find((one) => one.backend === backend);
    const what =
      (brought && `not loaded: ${brought.from} came with this folder, and nobody has trusted it`) ??
      problem ??
      [stepMs === null ? 'plain JavaScript' : `${stepMs.toFixed(1)} ms a step`, device].filter(Boolean).join('  ');
    const [first = '', ...rest] = wrapped(what, width - NAME_COLUMNS - 4);
    lines.push(`  ${mark} ${name.padEnd(NAME_COLUMNS)}${first}`);
    for (const line of rest) lines.push(`    ${' '.repeat(NAME_COLUMNS)}${line}`);
  }
  lines.push('', ...wrapped(`\`auto\` takes ${auto.backend}: ${auto.reason}.`, width));
  if (untried.length > 0)
    lines.push('', ...wrapped('`trainstash doctor --trust` trusts this folder and tries what it brings.', width));
  const advice = adviceOn(findings);
  if (advice.length > 0) lines.push('', ...advice.flatMap((text) => wrapped(text, width)));
  return lines;
}

/** What would bring a GPU, where none is used. */
function adviceOn(findings: readonly BackendFinding[]): string[] {
  const of = (name: string) => findings.find(({ backend }) => backend === name);
  const [webgpu, native] = [of('webgpu'), of('tfjs-node-gpu')];
  if (webgpu?.problem === null || native?.problem === null) return [];
  return [
    webgpu?.missing
      ? `To train on a GPU: \`trainstash gpu\` fetches webgpu ${WEBGPU_VERSION} from npm (130 MB) and tries it. It needs a driver for Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows), and works with cards of any maker.`
      : '',
    webgpu && !webgpu.missing
      ? 'For webgpu on Linux: `apt install libvulkan1 vulkan-tools` and your card’s driver; then `vulkaninfo --summary` must list it, and not llvmpipe alone.'
      : '',
    native && !native.missing
      ? 'For tfjs-node-gpu: it was built in 2022 for CUDA 11.2 with cuDNN 8.1, which LD_LIBRARY_PATH must lead to; newer CUDA is not found. Cards after Ampere (RTX 40 and 50, H100 and later) begin slowly or not at all: take webgpu there.'
      : '',
  ].filter(Boolean);
}

// A GPU that is played by the processor: SwiftShader, which Debian's Chromium brings. Slow, and right.
import { existsSync } from 'node:fs';
import { installFromDebian } from './debian.ts';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const LOADER = '/usr/lib/x86_64-linux-gnu/libvulkan.so.1';

/** Variables with which webgpu trains on it; null where there is none, and none can be installed. */
export function softwareGpu(install: boolean): Record<string, string> | null {
  const missing = [...(existsSync(DRIVER) ? [] : ['chromium-common']), ...(existsSync(LOADER) ? [] : ['libvulkan1'])];
  if (install) installFromDebian(...missing);
  if (!existsSync(DRIVER) || !existsSync(LOADER)) return null;
  return { VK_DRIVER_FILES: DRIVER, TRAINSTASH_SOFTWARE_GPU: '1' };
}

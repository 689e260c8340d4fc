// Provides a GPU emulated by the processor: SwiftShader from Debian's Chromium. It is slow but correct.
import { existsSync } from 'node:fs';
import { installFromDebian } from './debian.ts';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const LOADER = '/usr/lib/x86_64-linux-gnu/libvulkan.so.1';

/** Returns the variables that let webgpu train on it; null if it is missing and cannot be installed. */
export function softwareGpu(install: boolean): Record<string, string> | null {
  const missing = [...(existsSync(DRIVER) ? [] : ['chromium-common']), ...(existsSync(LOADER) ? [] : ['libvulkan1'])];
  if (install) installFromDebian(...missing);
  if (!existsSync(DRIVER) || !existsSync(LOADER)) return null;
  return { VK_DRIVER_FILES: DRIVER, TRAINSTASH_SOFTWARE_GPU: '1' };
}

/** Recognises images by their first bytes, and reads their size there. Pure; nothing is decoded. */
import { viewOf } from './protobuf.ts';

export interface ImageFacts {
  type: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';
  width: number;
  height: number;
}

/** Reads the facts of an image; null: it is none of the four formats that a page shows, or is cut off before its size. */
export function imageFacts(bytes: Uint8Array): ImageFacts | null {
  const found = png(bytes) ?? gif(bytes) ?? webp(bytes) ?? jpeg(bytes);
  return found && found.width > 0 && found.height > 0 ? found : null;
}

function starts(bytes: Uint8Array, at: number, text: string): boolean {
  if (bytes.length < at + text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function png(bytes: Uint8Array): ImageFacts | null {
  if (bytes.length < 24 || !starts(bytes, 0, '\x89PNG\r\n\x1a\n') || !starts(bytes, 12, 'IHDR')) return null;
  const view = viewOf(bytes);
  return { type: 'image/png', width: view.getUint32(16), height: view.getUint32(20) };
}

function gif(bytes: Uint8Array): ImageFacts | null {
  if (bytes.length < 10 || !(starts(bytes, 0, 'GIF87a') || starts(bytes, 0, 'GIF89a'))) return null;
  const view = viewOf(bytes);
  return { type: 'image/gif', width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

function webp(bytes: Uint8Array): ImageFacts | null {
  if (bytes.length < 30 || !starts(bytes, 0, 'RIFF') || !starts(bytes, 8, 'WEBP')) return null;
  const view = viewOf(bytes);
  const at = (width: number, height: number): ImageFacts => ({ type: 'image/webp', width, height });
  if (starts(bytes, 12, 'VP8X')) {
    const u24 = (offset: number) => view.getUint16(offset, true) | (view.getUint8(offset + 2) << 16);
    return at(u24(24) + 1, u24(27) + 1);
  }
  if (starts(bytes, 12, 'VP8L')) {
    const bits = view.getUint32(21, true);
    return at((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
  }
  if (starts(bytes, 12, 'VP8 ')) return at(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
  return null;
}

/** Reads the size from the first frame header; the segments before it are skipped by their lengths. */
function jpeg(bytes: Uint8Array): ImageFacts | null {
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const view = viewOf(bytes);
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { type: 'image/jpeg', width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    const length = view.getUint16(at + 2);
    if (length < 2) return null;
    at += 2 + length;
  }
  return null;
}

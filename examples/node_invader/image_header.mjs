/** What an image says of itself, read before it is decoded: nothing is allocated for what is not taken. */

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const ORIENTATION = 0x0112; // of EXIF

/** An image that is not taken. */
export class BadImage extends Error {
  constructor(expected, got) {
    super(`expected ${expected}, got ${got}`);
    Object.assign(this, { expected, got });
  }
}

/**
 * Reads the header of a JPEG or a PNG, told by its content.
 *
 * @returns {{format: string, width: number, height: number, orientation: number}} and what its format's decoder needs.
 */
export function headerOf(bytes) {
  if (bytes.length === 0) throw new BadImage('a JPEG or PNG', 'nothing');
  try {
    if (bytes.readUInt16BE(0) === 0xffd8) return jpegHeader(bytes);
    if (bytes.subarray(0, 8).equals(PNG_SIGNATURE)) return pngHeader(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new BadImage('a whole image', 'one that ends too soon');
    throw error;
  }
  throw new BadImage('a JPEG or PNG', 'another format');
}

/** Walks the segments of the first picture (ITU-T T.81, Annex B), to its end. */
function jpegHeader(bytes) {
  const header = { format: 'jpeg', orientation: 1, scans: 0, jfif: false, adobe: null };
  for (let at = 2; ; ) {
    if (bytes.readUInt8(at) !== 0xff) throw new BadImage('a whole JPEG', 'one with a segment missing');
    while (bytes.readUInt8(at) === 0xff) at += 1; // fill bytes
    const marker = bytes.readUInt8(at++);
    if (marker === 0xd9) return complete({ ...header, end: at });
    const length = bytes.readUInt16BE(at);
    const segment = bytes.subarray(at + 2, at + length);
    at += length;
    if (marker === 0xda) {
      header.scans += 1;
      at = afterScan(bytes, at);
    } else if (marker === 0xe0) header.jfif ||= starts(segment, 'JFIF\0');
    else if (marker === 0xe1 && starts(segment, 'Exif\0\0')) header.orientation = orientationOf(segment.subarray(6));
    else if (marker === 0xee && starts(segment, 'Adobe')) header.adobe = segment.readUInt8(11);
    else if (isFrame(marker)) readFrame(header, marker, segment);
  }
}

function complete(header) {
  if (header.width === undefined || header.scans === 0) throw new BadImage('a whole JPEG', 'one without a picture');
  return header;
}

/** The place of the next marker that is neither a stuffed byte nor a restart. */
function afterScan(bytes, start) {
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes.readUInt8(at + 1);
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  throw new BadImage('a whole JPEG', 'one that ends within a scan');
}

function isFrame(marker) {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function readFrame(header, marker, segment) {
  if (marker > 0xc2) throw new BadImage('a baseline or progressive JPEG', 'one of another process');
  if (segment.readUInt8(0) !== 8) throw new BadImage('a JPEG of 8 bits a sample', `one of ${segment.readUInt8(0)}`);
  if (header.width !== undefined) throw new BadImage('a JPEG of one frame', 'one of several');
  const components = segment.readUInt8(5);
  if (![1, 3, 4].includes(components)) throw new BadImage('a JPEG of 1, 3 or 4 components', `one of ${components}`);
  header.height = segment.readUInt16BE(1);
  header.width = segment.readUInt16BE(3);
  header.components = Array.from({ length: components }, (_, i) => segment.readUInt8(6 + 3 * i));
}

/** Walks the chunks of a PNG. */
function pngHeader(bytes) {
  const header = { format: 'png', orientation: 1 };
  for (let at = 8; ; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const chunk = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') {
      Object.assign(header, { width: chunk.readUInt32BE(0), height: chunk.readUInt32BE(4), depth: chunk.readUInt8(8) });
      header.interlaced = chunk.readUInt8(12) !== 0;
    } else if (header.width === undefined) throw new BadImage('a whole PNG', 'one that does not start with its header');
    else if (type === 'acTL') throw new BadImage('a still image', 'an animated PNG');
    else if (type === 'eXIf') header.orientation = orientationOf(chunk);
    else if (type === 'IEND') return { ...header, end: at + 12 };
    at += 12 + length;
  }
}

/** 1..8, of a block of EXIF; 1, upright, where it does not say. */
function orientationOf(exif) {
  try {
    const little = starts(exif, 'II');
    const short = (at) => (little ? exif.readUInt16LE(at) : exif.readUInt16BE(at));
    const directory = little ? exif.readUInt32LE(4) : exif.readUInt32BE(4);
    for (let entry = 0; entry < short(directory); entry += 1) {
      const at = directory + 2 + 12 * entry;
      if (short(at) === ORIENTATION) return short(at + 8) >= 1 && short(at + 8) <= 8 ? short(at + 8) : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

function starts(bytes, text) {
  return bytes.toString('latin1', 0, text.length) === text;
}

/** From an encoded image to an upright picture: RGB, 8 bits a sample, on white. */

import { inflateSync } from 'node:zlib';

import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';

import { BadImage, headerOf } from './image_header.mjs';

// The bench's own services take 50,000,000 pixels; decoding in JavaScript takes some hundred bytes for each.
const MOST = { bytes: 16_777_216, pixels: 12_000_000, side: 16_384, scans: 100 };
const MEBIBYTES = 2048; // for jpeg-js: more than `MOST` can come to

/**
 * Decodes an image that is within the limits.
 *
 * @param {Buffer} bytes A JPEG or PNG.
 * @returns {{width: number, height: number, samples: Uint8Array}} Four samples a pixel, row by row: R, G, B, and one of
 *   no meaning.
 * @throws {BadImage}
 */
export function decoded(bytes) {
  if (bytes.length > MOST.bytes) throw new BadImage(`at most ${MOST.bytes} bytes`, `${bytes.length}`);
  const header = headerOf(bytes);
  checkLimits(header);
  const pixels = header.format === 'jpeg' ? jpegPixels(bytes, header) : pngPixels(bytes, header);
  return upright({ width: header.width, height: header.height, samples: onWhite(pixels) }, header.orientation);
}

function checkLimits({ width, height, scans = 1 }) {
  const [least, most] = [Math.min(width, height), Math.max(width, height)];
  if (least < 1 || most > MOST.side) throw new BadImage(`sides of 1..${MOST.side} pixels`, `${width} x ${height}`);
  if (width * height > MOST.pixels) throw new BadImage(`at most ${MOST.pixels} pixels`, `${width} x ${height}`);
  if (scans > MOST.scans) throw new BadImage(`at most ${MOST.scans} scans`, `${scans}`);
}

function jpegPixels(bytes, header) {
  const options = { tolerantDecoding: false, maxResolutionInMP: Infinity, maxMemoryUsageInMB: MEBIBYTES };
  const first = bytes.subarray(0, header.end); // further pictures may follow
  return whole('JPEG', () => jpeg.decode(first, { ...options, colorTransform: isYCbCr(header) }).data);
}

/** libjpeg's rule. Adobe's marker says it of four components too, which jpeg-js sees to. */
function isYCbCr({ jfif, adobe, components }) {
  if (components.length !== 3) return undefined;
  if (jfif) return true;
  if (adobe !== null) return adobe !== 0;
  return String.fromCharCode(...components) !== 'RGB';
}

function pngPixels(bytes, header) {
  const file = bytes.subarray(0, header.end);
  if (header.interlaced) checkInflated(file, header); // pngjs itself bounds the others only
  const deep = header.depth === 16;
  const { data } = whole('PNG', () => PNG.sync.read(file, { skipRescale: deep }));
  return deep ? Uint8Array.from(data, (sample) => sample >> 8) : data;
}

function checkInflated(file, { width, height }) {
  const parts = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    const isPart = file.toString('latin1', at + 4, at + 8) === 'IDAT';
    if (isPart) parts.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
  }
  const most = 8 * width * height + 2 * (width + height) + 64; // 16 bits of RGBA, and a filter for each row of seven passes
  whole('PNG', () => inflateSync(Buffer.concat(parts), { maxOutputLength: most }));
}

/** Whatever a decoder throws: its text is not for clients. */
function whole(format, decode) {
  try {
    return decode();
  } catch {
    throw new BadImage(`a whole ${format}`, 'one that is damaged');
  }
}

function onWhite(samples) {
  for (let at = 0; at < samples.length; at += 4) {
    const opacity = samples[at + 3] / 255;
    if (opacity === 1) continue;
    for (let i = at; i < at + 3; i += 1) samples[i] = Math.round(samples[i] * opacity + 255 * (1 - opacity));
  }
  return samples;
}

/** Applies an orientation of EXIF, 1..8: from 5 on rows become columns; the two flips are of what is shown. */
function upright({ width, height, samples }, orientation) {
  if (orientation === 1) return { width, height, samples };
  const turned = orientation >= 5;
  const [flipsX, flipsY] = [[2, 3, 6, 7].includes(orientation), [3, 4, 7, 8].includes(orientation)];
  const shown = { width: turned ? height : width, height: turned ? width : height };
  const from = new Uint32Array(samples.buffer.slice(samples.byteOffset, samples.byteOffset + samples.byteLength));
  const to = new Uint32Array(from.length);
  for (let y = 0; y < shown.height; y += 1) {
    const b = flipsY ? shown.height - 1 - y : y;
    for (let x = 0; x < shown.width; x += 1) {
      const a = flipsX ? shown.width - 1 - x : x;
      to[y * shown.width + x] = from[turned ? a * width + b : b * width + a];
    }
  }
  return { ...shown, samples: new Uint8Array(to.buffer) };
}

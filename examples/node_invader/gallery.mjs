/** The gallery: a folder of photos in VGGFace2's layout, IDENTITY/FILE.jpg. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { BadImage } from './image_header.mjs';
import { decoded } from './images.mjs';

/** @returns {{identities: string[], people: object[][]}} In class order: who is there, and their pictures. */
export function read(folder) {
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  const entries = isFolder ? readdirSync(folder, { withFileTypes: true }) : [];
  const identities = entries
    .filter((entry) => entry.isDirectory() && !entry.name.includes('\n'))
    .map((entry) => entry.name)
    .sort();
  if (identities.length === 0) throw new Error(`--gallery: expected a folder of photos, IDENTITY/FILE.jpg, got ${folder}`);
  return { identities, people: identities.map((identity) => pictures(join(folder, identity))) };
}

function pictures(folder) {
  const names = readdirSync(folder).filter((name) => /\.(jpe?g|png)$/i.test(name));
  if (names.length === 0) throw new Error(`${folder}: expected photos, *.jpg, *.jpeg or *.png, got none`);
  return names.sort().map((name) => picture(join(folder, name)));
}

function picture(file) {
  try {
    return decoded(readFileSync(file));
  } catch (error) {
    throw error instanceof BadImage ? new Error(`${file}: ${error.message}`) : error;
  }
}

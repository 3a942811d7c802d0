/** Decodes and classifies on a thread of its own: pings and health are answered meanwhile. */

import Tinypool from 'tinypool';

import { BadImage } from './image_header.mjs';
import { decoded } from './images.mjs';
import { probabilities } from './recognizer.mjs';

/**
 * @param {{image: Uint8Array, models: string[]}} query
 * @returns {{all: number[][]} | {expected: string, got: string}} The probabilities of each model, or why there are none.
 */
export default function classified({ image, models }) {
  try {
    const picture = decoded(Buffer.from(image.buffer, image.byteOffset, image.length));
    return { all: models.map((model) => probabilities(Tinypool.workerData[model], picture)) };
  } catch (error) {
    if (!(error instanceof BadImage)) throw error;
    const { expected, got } = error;
    return { expected, got };
  }
}

/**
 * A recognizer without training: every identity is the mean of its photos, made small, and an image is of whom it is like.
 *
 * Cloaks are crops of faces, photos are not, and there is no face detector here. Each photo is therefore enrolled by a
 * number of views: squares of several sizes and places. An identity is as like an image as its likest view.
 */

const SHARPNESS = 20; // of softmax over cosines, which differ by hundredths
const VIEWS = [1, 0.7, 0.6, 0.5].flatMap(places); // of the photo's shorter side

/**
 * Enrols people.
 *
 * @param {number} side Pixels of the model's input.
 * @param {object[][]} people Of each identity, in class order, its pictures.
 * @returns {{side: number, identities: number, views: Float32Array}} Unit vectors: of each identity, one for each view.
 */
export function enrolled(side, people) {
  const length = 3 * side * side;
  const views = new Float32Array(new SharedArrayBuffer(4 * people.length * VIEWS.length * length)); // for all threads
  people.forEach((pictures, i) =>
    VIEWS.forEach((view, j) => {
      const mean = new Float64Array(length);
      for (const picture of pictures) {
        features(picture, window(picture, view), side).forEach((value, at) => (mean[at] += value / pictures.length));
      }
      views.set(normalized(mean), (i * VIEWS.length + j) * length);
    }),
  );
  return { side, identities: people.length, views };
}

/** The probability of each identity, in class order: softmax over its likeness to all of a picture. */
export function probabilities({ side, identities, views }, picture) {
  const { width, height } = picture;
  const image = features(picture, { left: 0, top: 0, width, height }, side);
  const logits = Array.from({ length: identities }, (_, i) => {
    const cosines = VIEWS.map((_, j) => dot(image, views, (i * VIEWS.length + j) * image.length));
    return SHARPNESS * Math.max(...cosines);
  });
  const highest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Squares of a size, as parts of the shorter side, at places around the middle (one, where it is all of it). */
function places(size) {
  const offsets = size === 1 ? [0.5] : [0.3, 0.4, 0.5, 0.6, 0.7];
  return offsets.flatMap((x) => offsets.map((y) => ({ size, x, y })));
}

/** Where a view lies in a picture, in pixels and fractions of them. */
function window({ width, height }, { size, x, y }) {
  const side = size * Math.min(width, height);
  return { left: x * (width - side), top: y * (height - side), width: side, height: side };
}

/** The window of a picture at the model's input size, of mean 0 and length 1: brightness and contrast do not count. */
function features(picture, view, side) {
  return normalized(resized(picture, view, side));
}

/** Resizes a window whatever its proportions: every sample is the mean over the area that it covers. */
function resized({ width, height, samples }, view, side) {
  const columns = coverage(view.left, view.width / side, width, side);
  const rows = coverage(view.top, view.height / side, height, side);
  const area = (view.width / side) * (view.height / side);
  const result = new Float64Array(3 * side * side);
  rows.forEach((row, j) => {
    row.forEach(({ at: y, share: tall }) =>
      columns.forEach((column, i) => {
        const to = 3 * (j * side + i);
        for (const { at: x, share: wide } of column) {
          const from = 4 * (y * width + x);
          const share = (tall * wide) / area;
          for (let channel = 0; channel < 3; channel += 1) result[to + channel] += share * samples[from + channel];
        }
      }),
    );
  });
  return result;
}

/** Which pixels each of `side` stretches of a line covers, and how much of each. */
function coverage(start, stretch, pixels, side) {
  return Array.from({ length: side }, (_, i) => {
    const [from, to] = [start + i * stretch, start + (i + 1) * stretch];
    const first = Math.floor(from);
    const last = Math.min(Math.ceil(to), pixels);
    return Array.from({ length: last - first }, (_, n) => {
      const at = first + n;
      return { at, share: Math.min(to, at + 1) - Math.max(from, at) };
    });
  });
}

function normalized(vector) {
  const mean = vector.reduce((sum, value) => sum + value, 0) / vector.length;
  const centred = vector.map((value) => value - mean);
  const length = Math.hypot(...centred);
  return length > 0 ? centred.map((value) => value / length) : centred; // one colour is like nobody
}

function dot(a, b, start) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[start + i];
  return sum;
}

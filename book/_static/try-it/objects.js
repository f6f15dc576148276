// Nuclei in a microscope image: what goes into the network, as `dlt.data.nuclei_view` makes it, and the objects in what
// comes out, as `dlt.predict.objects(..., method="watershed")` finds them.

const DEPTH = 1; // pixels: how much deeper than its neck a part of a clump is

/** Return an RGB image with values from 0 to 255 as grey with bright nuclei, stretched to 0 ... 1. */
export function nucleiView({ data, height, width, channels }) {
  const grey = new Float64Array(height * width);
  for (let i = 0; i < grey.length; i++) {
    for (let c = 0; c < channels; c++) grey[i] += data[i * channels + c] / channels;
  }
  const sorted = grey.slice().sort();
  const inverted = percentile(sorted, 50) > 127;
  const [first, last] = inverted ? [99, 0.2] : [1, 99.8];
  const turned = (value) => (inverted ? 255 - value : value);
  const low = turned(percentile(sorted, first));
  const range = Math.max(turned(percentile(sorted, last)) - low, 1); // what varies less than a grey level is flat
  const view = Float32Array.from(grey, (value) => Math.min(Math.max((turned(value) - low) / range, 0), 1));
  return { data: view, height, width, channels: 1 };
}

function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/** Number the objects in probabilities (height x width): {labels: Int32Array, count}. */
export function objects(probabilities, height, width, { threshold = 0.5, minArea = 20 } = {}) {
  const mask = Uint8Array.from(probabilities, (value) => value > threshold);
  const depth = distances(mask, height, width);
  const labels = flooded(depth, seeds(depth, mask, height, width), mask, height, width);
  return withoutDirt(labels, minArea);
}

/** Return the distance of each pixel of a mask to the nearest one outside (Felzenszwalb and Huttenlocher 2012). */
export function distances(mask, height, width) {
  const far = 1e12;
  const squared = Float64Array.from(mask, (inside) => (inside ? far : 0));
  for (let x = 0; x < width; x++) lowerEnvelope(squared, x, width, height);
  for (let y = 0; y < height; y++) lowerEnvelope(squared, y * width, 1, width);
  return squared.map(Math.sqrt);
}

/** Replace the values f along one line by the least of f(p) + (q - p)^2, the parabolas' lower envelope. */
function lowerEnvelope(values, start, step, length) {
  const f = Float64Array.from({ length }, (_, i) => values[start + i * step]);
  const vertex = new Int32Array(length);
  const border = new Float64Array(length + 1);
  const meet = (p, q) => (f[p] + p * p - f[q] - q * q) / (2 * (p - q));
  let last = 0;
  border[0] = -Infinity;
  for (let q = 1; q < length; q++) {
    while (meet(q, vertex[last]) <= border[last]) last--;
    border[last + 1] = meet(q, vertex[last]);
    vertex[++last] = q;
  }
  border[last + 1] = Infinity;
  for (let q = 0, k = 0; q < length; q++) {
    while (border[k + 1] < q) k++;
    values[start + q * step] = f[vertex[k]] + (q - vertex[k]) ** 2;
  }
}

/** A binary heap: `pop` returns what comes before all others. */
class Heap {
  constructor(before) {
    this.before = before;
    this.items = [];
  }

  push(item) {
    const { items, before } = this;
    let i = items.push(item) - 1;
    for (let up; i && before(item, items[(up = (i - 1) >> 1)]); i = up) items[i] = items[up];
    items[i] = item;
  }

  pop() {
    const { items, before } = this;
    const first = items[0];
    const item = items.pop();
    if (!items.length) return first;
    let i = 0;
    for (let child; (child = 2 * i + 1) < items.length; i = child) {
      if (child + 1 < items.length && before(items[child + 1], items[child])) child++;
      if (!before(items[child], item)) break;
      items[i] = items[child];
    }
    items[i] = item;
    return first;
  }
}

function* neighbours(i, height, width) {
  const x = i % width;
  if (i >= width) yield i - width;
  if (x > 0) yield i - 1;
  if (x < width - 1) yield i + 1;
  if (i < (height - 1) * width) yield i + width;
}

/** Number the maxima that lie more than DEPTH deeper than the way from them to a deeper one. */
function seeds(depth, mask, height, width) {
  const level = depth.map((value) => value - DEPTH); // rises to what can be reached from below: a reconstruction
  const heap = new Heap((a, b) => a.value > b.value);
  for (let i = 0; i < mask.length; i++) if (mask[i]) heap.push({ i, value: level[i] });
  while (heap.items.length) {
    const { i, value } = heap.pop();
    if (value < level[i]) continue;
    for (const j of neighbours(i, height, width)) {
      const reached = Math.min(value, depth[j]);
      if (mask[j] && reached > level[j]) heap.push({ i: j, value: (level[j] = reached) });
    }
  }
  return plateaus(level, mask, height, width);
}

/** Number the plateaus of a surface that no neighbour overlooks. */
function plateaus(level, mask, height, width) {
  const labels = new Int32Array(mask.length);
  const seen = new Uint8Array(mask.length);
  let count = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue;
    const plateau = [start];
    let highest = true;
    seen[start] = 1;
    for (let k = 0; k < plateau.length; k++) {
      for (const j of neighbours(plateau[k], height, width)) {
        if (!mask[j]) continue;
        if (level[j] > level[start]) highest = false;
        if (level[j] !== level[start] || seen[j]) continue;
        seen[j] = 1;
        plateau.push(j);
      }
    }
    if (highest && ++count) for (const i of plateau) labels[i] = count;
  }
  return labels;
}

/** Let basins grow from numbered seeds, deepest pixels first, older ones first where depths are equal: a watershed. */
function flooded(depth, labels, mask, height, width) {
  const heap = new Heap((a, b) => a.value > b.value || (a.value === b.value && a.age < b.age));
  let age = 0;
  for (let i = 0; i < mask.length; i++) if (labels[i]) heap.push({ i, value: depth[i], age: 0 });
  while (heap.items.length) {
    const { i } = heap.pop();
    for (const j of neighbours(i, height, width)) {
      if (!mask[j] || labels[j]) continue;
      labels[j] = labels[i];
      heap.push({ i: j, value: depth[j], age: ++age });
    }
  }
  return labels;
}

function withoutDirt(labels, minArea) {
  const areas = [];
  for (const label of labels) areas[label] = (areas[label] ?? 0) + 1;
  let count = 0;
  const renamed = Array.from(areas, (area, label) => (label && area >= minArea ? ++count : 0));
  return { labels: labels.map((label) => renamed[label]), count };
}

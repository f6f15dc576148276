// Nuclei in a microscope image: what goes into the network, as `dlt.data.nuclei_view` makes it, and the objects in what
// comes out, as `dlt.predict.objects(..., method="watershed")` finds them.

const CONFIDENCE = 0.85; // the mean probability that a nucleus has, or more
const STEP = 0.2; // how much deeper than its neck a part of a clump is; 1 is the middle of a nucleus

/** Return an image with values from 0 to 255 in three channels, nuclei bright, stretched to 0 ... 1. */
export function nucleiView({ data, height, width, channels }) {
  const grey = new Float64Array(height * width);
  const colors = new Float64Array(3 * height * width);
  for (let i = 0; i < grey.length; i++) {
    for (let c = 0; c < channels; c++) grey[i] += data[i * channels + c] / channels;
    for (let c = 0; c < 3; c++) colors[3 * i + c] = data[i * channels + (channels === 3 ? c : 0)];
  }
  const inverted = percentile(grey.sort(), 50) > 127;
  const view = inverted ? colors.map((value) => 255 - value) : colors;
  const sorted = view.slice().sort();
  const low = percentile(sorted, 1);
  const range = Math.max(percentile(sorted, 99.8) - low, 1); // what varies less than a grey level is flat
  return { data: Float32Array.from(view, (value) => Math.min(Math.max((value - low) / range, 0), 1)), height, width, channels: 3 };
}

function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/** Number the objects in an image of two channels, probability and depth: {labels: Int32Array, count}. */
export function objects({ data, height, width }, { threshold = 0.5, minArea = 20 } = {}) {
  const mask = Uint8Array.from({ length: height * width }, (_, i) => data[2 * i] > threshold);
  const depth = Float64Array.from(mask, (_, i) => data[2 * i + 1]);
  const labels = flooded(depth, seeds(depth, mask, height, width), mask, height, width);
  return kept(labels, data, minArea);
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

/** Number the maxima that lie more than STEP deeper than the way from them to a deeper one. */
function seeds(depth, mask, height, width) {
  const level = depth.map((value) => value - STEP); // rises to what can be reached from below: a reconstruction
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

/** Leave out what is small, and what the network is hardly sure of. */
function kept(labels, data, minArea) {
  const areas = [];
  const sums = [];
  labels.forEach((label, i) => {
    areas[label] = (areas[label] ?? 0) + 1;
    sums[label] = (sums[label] ?? 0) + data[2 * i];
  });
  let count = 0;
  const sure = (label) => areas[label] >= minArea && sums[label] / areas[label] > CONFIDENCE;
  const renamed = Array.from(areas, (_, label) => (label && sure(label) ? ++count : 0));
  return { labels: labels.map((label) => renamed[label]), count };
}

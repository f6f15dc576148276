// An image of any size through a network, tile by tile.
//
// An image is {data: Float32Array, height, width, channels}, its pixels row by row and their channels side by side.

/** Continue an image by its mirror image, so that its sides are multiples of a number. */
export function mirrored(image, multiple) {
  const height = Math.ceil(image.height / multiple) * multiple;
  const width = Math.ceil(image.width / multiple) * multiple;
  const back = (i, side) => ((i = i % (2 * side)) < side ? i : 2 * side - 1 - i);
  return pixelwise(image, height, width, (y, x) => [back(y, image.height), back(x, image.width)]);
}

/** Return the part of an image whose upper left pixel is at (top, left). */
export function part(image, top, left, height, width) {
  return pixelwise(image, height, width, (y, x) => [top + y, left + x]);
}

function pixelwise(image, height, width, from) {
  const { channels } = image;
  const data = new Float32Array(height * width * channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [row, column] = from(y, x);
      const start = (row * image.width + column) * channels;
      for (let c = 0; c < channels; c++) data[to++] = image.data[start + c];
    }
  }
  return { data, height, width, channels };
}

/** Return where the tiles along one side lie: what each sees, [start, end), and what it answers for, [from, to). */
export function spans(side, tile, margin) {
  if (side <= tile) return [{ start: 0, end: side, from: 0, to: side }];
  const core = tile - 2 * margin;
  const all = [];
  for (let from = 0; from < side; from += core) {
    const to = Math.min(from + core, side);
    all.push({ start: Math.max(from - margin, 0), end: Math.min(to + margin, side), from, to });
  }
  return all;
}

/**
 * Run a network on tiles that overlap by a margin. Where the network looks no further than the margin, the answer is
 * that for the whole image. `run(tile)` answers with an image of the tile's size; `pause(done, total)` is awaited
 * after each tile, and ends the work by answering true: then there is no answer, null.
 */
export async function inTiles(image, { tile, margin, multiple }, run, pause) {
  const whole = mirrored(image, multiple);
  const places = [];
  for (const rows of spans(whole.height, tile, margin)) {
    for (const columns of spans(whole.width, tile, margin)) places.push([rows, columns]);
  }
  let answer = null;
  for (const [done, [rows, columns]] of places.entries()) {
    const seen = part(whole, rows.start, columns.start, rows.end - rows.start, columns.end - columns.start);
    const found = await run(seen);
    answer ??= { ...whole, channels: found.channels, data: new Float32Array(whole.height * whole.width * found.channels) };
    paste(found, answer, rows, columns);
    if (await pause(done + 1, places.length)) return null;
  }
  return part(answer, 0, 0, image.height, image.width);
}

function paste(tile, answer, rows, columns) {
  const { channels } = answer;
  for (let y = rows.from; y < rows.to; y++) {
    const start = ((y - rows.start) * tile.width + columns.from - columns.start) * channels;
    const length = (columns.to - columns.from) * channels;
    answer.data.set(tile.data.subarray(start, start + length), (y * answer.width + columns.from) * channels);
  }
}

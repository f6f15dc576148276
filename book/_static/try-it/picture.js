// Pictures: from a file to numbers, noise on them, how good they are, and back onto the page.

/** Read a file that the browser can show as {data, height, width, channels: 3} with values 0 ... 255. */
export async function read(blob, name, longest) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    const kind = blob.size ? `${blob.type || "of unknown type"}, ${blob.size.toLocaleString("en")} bytes` : "empty";
    throw new Error(`${name} is no image that this browser can read (it is ${kind}). Take a PNG, JPEG or WebP file.`);
  }
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  const data = new Float32Array(3 * width * height);
  for (let i = 0, j = 0; i < data.length; i += 3, j += 4) {
    for (let c = 0; c < 3; c++) data[i + c] = pixels[j + c];
  }
  return { data, height, width, channels: 3 };
}

/** Let the page draw a frame before the next piece of work. */
export const breath = () => new Promise((resolve) => setTimeout(resolve));

/** Return a picture with values 0 ... 1; with one channel if it has no colour, or if that is what is wanted. */
export function scaled({ data, height, width }, grey = isGrey(data)) {
  if (!grey) return { data: data.map((value) => value / 255), height, width, channels: 3 };
  const mean = new Float32Array(height * width);
  for (let i = 0, j = 0; i < mean.length; i++, j += 3) mean[i] = (data[j] + data[j + 1] + data[j + 2]) / 765;
  return { data: mean, height, width, channels: 1 };
}

/** Return whether RGB pixels have no colour. */
export function isGrey(data) {
  for (let i = 0; i < data.length; i += 3) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

/** Return `length` independent normal numbers, the same for the same seed (mulberry32, then Box and Muller 1958). */
export function normal(length, seed = 16) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const numbers = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    numbers[i] = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }
  return numbers;
}

/** Return `times` an image plus `more` times numbers of the same length. */
export function combined(image, times, numbers = null, more = 0) {
  const data = new Float32Array(image.data.length);
  for (let i = 0; i < data.length; i++) data[i] = times * image.data[i] + (numbers ? more * numbers[i] : 0);
  return { ...image, data };
}

/** Return the peak signal-to-noise ratio in dB; nothing is clipped. */
export function psnr(clean, estimate) {
  return -10 * Math.log10(squares(clean.data, estimate.data) / clean.data.length);
}

/** Return how far `a` is from `b`, as a part of `b`. */
export function relativeDifference(a, b) {
  return Math.sqrt(squares(a.data, b.data) / squares(b.data));
}

function squares(a, b = null) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - (b ? b[i] : 0)) ** 2;
  return sum;
}

/** Draw an image with values 0 ... 1 on a canvas; what lies outside is cut off. */
export function draw(canvas, { data, height, width, channels }) {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * data[i * channels + (channels === 3 ? c : 0)];
    pixels.data[4 * i + 3] = 255;
  }
  show(canvas, pixels);
}

/** Draw an RGB image with values 0 ... 255 and numbered objects over it, in colours that differ where two touch. */
export function drawObjects(canvas, { data, height, width }, labels) {
  const pixels = new ImageData(width, height);
  const colours = colourNumbers(labels, width).map(colourOf);
  for (let i = 0; i < width * height; i++) {
    const colour = labels[i] ? colours[labels[i]] : null;
    const edge = labels[i] && [i - 1, i + 1, i - width, i + width].some((j) => labels[j] !== labels[i]);
    for (let c = 0; c < 3; c++) {
      const value = data[3 * i + c];
      pixels.data[4 * i + c] = colour ? (edge ? colour[c] : 0.55 * value + 0.45 * colour[c]) : value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  show(canvas, pixels);
}

/** Return a number of a colour for each label; objects that touch, if only at a corner, have different ones. */
export function colourNumbers(labels, width) {
  const touching = new Map();
  const touch = (a, b) => touching.set(a, (touching.get(a) ?? new Set()).add(b));
  labels.forEach((a, i) => {
    if (!a) return;
    const after = i % width < width - 1 ? [i + 1, i + width, i + width + 1] : [i + width];
    if (i % width) after.push(i + width - 1);
    for (const b of after.map((j) => labels[j])) if (b && a !== b) touch(a, b) && touch(b, a);
  });
  const numbers = [0];
  const last = labels.reduce((a, b) => Math.max(a, b), 0);
  for (let label = 1; label <= last; label++) {
    const taken = new Set([...(touching.get(label) ?? [])].map((other) => numbers[other]));
    let number = label % 8; // eight colours that are easy to tell apart, and more where they do not suffice
    for (let tried = 0; taken.has(number); tried++) number = tried < 7 ? (number + 1) % 8 : tried + 1;
    numbers.push(number);
  }
  return numbers;
}

/** Return a bright colour for a number; numbers near each other get colours far from each other (golden angle). */
function colourOf(number) {
  const hue = (number * 137.508) % 360;
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (0.6 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  });
}

function show(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

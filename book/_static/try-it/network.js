// The page's side of the worker: one promise for each thing asked of it.

const here = new URL("./", import.meta.url);
const waiting = new Map();
const loads = new Map();
let worker;
let last = 0;

/** What was made for this page when the site was built: the sizes and addresses of its files. */
export const files = fetch(new URL("files/files.json", here)).then((response) => {
  if (!response.ok) throw new Error("its files are made by 'make book', which did not make this site");
  return response.json();
});

function start() {
  worker = new Worker(new URL("worker.js", here), { type: "module" });
  worker.onmessage = ({ data: { id, kind, ...rest } }) => {
    const job = waiting.get(id);
    if (kind === "progress") return job.progress?.(rest.done, rest.total);
    waiting.delete(id);
    return kind === "done" ? job.resolve(rest.answer) : job.reject(new Error(rest.message));
  };
  worker.onerror = () => {
    for (const job of waiting.values()) job.reject(new Error("The worker could not be started by this browser."));
    waiting.clear();
  };
}

function ask(message, progress, signal) {
  if (!worker) start();
  const id = ++last;
  signal?.addEventListener("abort", () => worker.postMessage({ task: "cancel", id }));
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, progress });
    worker.postMessage({ ...message, id });
  });
}

/** Return the address of a file that the build has made. */
export const address = (name) => new URL(`files/${name}`, here).href;

/** Return whether ONNX Runtime's build for WebGPU can run: it needs a graphics card, and wasm that can wait (JSPI). */
export const hasCard = async () => "Suspending" in WebAssembly && Boolean(await navigator.gpu?.requestAdapter());

async function resolved(name, device) {
  const { runtimes, networks } = await files;
  const { script, wasm, bytes } = runtimes[device];
  const network = { ...networks[name], file: address(networks[name].file) };
  return { device, runtime: { script: address(script), wasm: address(wasm), bytes }, network };
}

/**
 * Load a network, and before the first one on a device, "wasm" or "webgpu", its runtime. Asked again, it answers at
 * once; a failed load is forgotten.
 */
export function load(name, device, progress) {
  const key = `${name}/${device}`;
  if (!loads.has(key)) {
    const loading = resolved(name, device).then((found) => ask({ task: "load", ...found }, progress));
    loads.set(key, loading);
    loading.catch(() => loads.delete(key));
  }
  return loads.get(key);
}

/** Return how many bytes are still to be loaded for a network on a device. */
export async function missingBytes(name, device) {
  const { runtimes, networks } = await files;
  const keys = [...loads.keys()];
  const hasWeights = keys.some((key) => key.startsWith(`${name}/`));
  const hasRuntime = keys.some((key) => key.endsWith(`/${device}`));
  return (hasWeights ? 0 : networks[name].bytes) + (hasRuntime ? 0 : runtimes[device].bytes);
}

/** Denoise an image with values around 0 ... 1; null if it was cancelled, by the `AbortSignal`. */
export async function denoise(name, device, image, progress, signal) {
  return ask({ task: "denoise", ...(await resolved(name, device)), image }, progress, signal);
}

/** Number the nuclei in an RGB image with values 0 ... 255: {labels, count}, or null if it was cancelled. */
export async function count(name, device, image, minArea, progress, signal) {
  return ask({ task: "count", ...(await resolved(name, device)), image, minArea }, progress, signal);
}

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

async function resolved(name) {
  const { runtime, networks } = await files;
  const network = { ...networks[name], file: address(networks[name].file) };
  return { runtime: { ...runtime, script: address(runtime.script), wasm: address(runtime.wasm) }, network };
}

/** Load a network, and the runtime before the first one. Asked again, it answers at once; a failed load is forgotten. */
export function load(name, progress) {
  if (!loads.has(name)) {
    const loading = resolved(name).then((found) => ask({ task: "load", ...found }, progress));
    loads.set(name, loading);
    loading.catch(() => loads.delete(name));
  }
  return loads.get(name);
}

/** Return how many bytes are still to be loaded for a network. */
export async function missingBytes(name) {
  const { runtime, networks } = await files;
  return loads.has(name) ? 0 : networks[name].bytes + (loads.size ? 0 : runtime.bytes);
}

/** Denoise an image with values around 0 ... 1; null if it was cancelled, by the `AbortSignal`. */
export async function denoise(name, image, progress, signal) {
  const { network } = await resolved(name);
  return ask({ task: "denoise", network, image }, progress, signal);
}

/** Number the nuclei in an RGB image with values 0 ... 255: {labels, count}, or null if it was cancelled. */
export async function count(name, image, minArea, progress, signal) {
  const { network } = await resolved(name);
  return ask({ task: "count", network, image, minArea }, progress, signal);
}

// What takes long happens here, beside the page: loading the runtime and a network, and running it tile by tile.

import { nucleiView, objects } from "./objects.js";
import { inTiles } from "./tiles.js";

const runtimes = {}; // by device: "wasm" or "webgpu"
const weights = {}; // by address, for both devices
const sessions = {}; // by address and device
const cancelled = new Set(); // jobs that nobody waits for any more
let queue = Promise.resolve(); // one job at a time

const say = (message, transfer = []) => postMessage(message, transfer);

onmessage = ({ data: job }) => {
  if (job.task === "cancel") cancelled.add(job.id);
  else queue = queue.then(() => perform(job));
};

async function perform(job) {
  try {
    const { answer, transfer } = cancelled.has(job.id) ? { answer: null } : await tasks[job.task](job);
    say({ id: job.id, kind: "done", answer }, transfer);
  } catch (error) {
    say({ id: job.id, kind: "failed", message: error.message });
  }
}

const tasks = {
  async load({ id, device, runtime, network }) {
    const total = (runtimes[device] ? 0 : runtime.bytes) + (weights[network.file] ? 0 : network.bytes);
    let received = 0;
    const count = (bytes) => say({ id, kind: "progress", done: (received += bytes), total });
    const ort = (runtimes[device] ??= await loadRuntime(runtime, count));
    const file = (weights[network.file] ??= await fetched(network.file, count));
    const options = { executionProviders: [device], logSeverityLevel: 3 }; // that sizes are computed on the CPU is no warning
    sessions[[network.file, device]] ??= await ort.InferenceSession.create(file, options);
    return { answer: true };
  },

  async denoise({ id, device, network, image }) {
    const answer = await predict(id, device, network, image);
    return { answer, transfer: answer ? [answer.data.buffer] : [] };
  },

  async count({ id, device, network, image, minArea }) {
    const found = await predict(id, device, network, nucleiView(image));
    const answer = found && objects(found, { minArea });
    return { answer, transfer: answer ? [answer.labels.buffer] : [] };
  },
};

async function loadRuntime({ script, wasm }, count) {
  const module = await import(script);
  module.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
  module.env.wasm.wasmBinary = await fetched(wasm, count);
  return module;
}

/** Fetch a file, and say after each piece how many bytes it had. */
async function fetched(url, count) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.split("/").pop()} could not be loaded: ${response.status}`);
  const pieces = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    pieces.push(value);
    count(value.length);
  }
}

/** Return a network's answer for an image of any size, or null when the job was cancelled. */
function predict(id, device, network, image) {
  const session = sessions[[network.file, device]];
  const run = async ({ data, height, width, channels }) => {
    const tensor = new runtimes[device].Tensor("float32", data, [1, height, width, channels]);
    const found = (await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]];
    return { data: found.data, height, width, channels: found.dims[3] };
  };
  const pause = async (done, total) => {
    say({ id, kind: "progress", done, total });
    await new Promise((resolve) => setTimeout(resolve)); // lets a "cancel" in
    return cancelled.has(id);
  };
  return inTiles(image, network, run, pause);
}

import { denoise } from "./network.js";
import { Panel, whenMade } from "./panel.js";
import { breath, combined, draw, isGrey, normal, psnr, relativeDifference, scaled } from "./picture.js";

const panel = new Panel("try-denoise", {
  network: () => (panel.$("[name=network]").value === "shipped" ? `denoiser_${kind()}` : panel.$("[name=network]").value),
  longest: () => Number(panel.$("[name=size]").value),
  draw: show,
});
const control = (name) => panel.$(`[name=${name}]`);
const canvas = (name) => panel.$(`canvas.${name}`);
const say = (name, text) => (panel.$(`.${name} + figcaption, .says-${name}`).textContent = text);

/** Return which of the shipped denoisers a picture needs. */
function kind() {
  return panel.picture && !isGrey(panel.picture.data) ? "color" : "grey";
}

const LIGHT = [1 / 1000, 1 / 100, 1 / 30, 1 / 10, 1 / 5, 1 / 3, 1 / 2, 2 / 3, 1, 3, 10];
const inWords = (factor) => (factor < 0.6 ? `1/${Math.round(1 / factor)}` : String(Number(factor.toFixed(2))));
const prepared = {}; // the picture in numbers, and its noise, which the sliders only scale

function prepare() {
  const grey = control("network").value !== "shipped" || undefined;
  if (prepared.picture !== panel.picture || prepared.grey !== grey) {
    const clean = scaled(panel.picture, grey);
    Object.assign(prepared, { picture: panel.picture, grey, clean, noise: normal(clean.data.length) });
  }
  return prepared;
}

async function show(loaded, signal) {
  const sigma = Number(control("noise").value);
  const factor = LIGHT[control("light").value];
  panel.$(".says-noise").textContent = sigma;
  panel.$(".says-light").textContent = inWords(factor);
  const { clean, noise } = prepare();
  await breath();
  const noisy = combined(clean, 1, noise, sigma / 255);
  const reached = (image) => (sigma || image !== noisy ? `${psnr(clean, image).toFixed(1)} dB` : "no noise");
  draw(canvas("clean"), clean);
  await breath();
  if (signal.aborted) return;
  draw(canvas("noisy"), noisy);
  say("noisy", `with noise: ${reached(noisy)}`);
  for (const name of ["denoised", "dimmed"]) panel.$(`canvas.${name}`).classList.add("old");
  await breath();
  if (signal.aborted) return;
  if (!loaded) return panel.progress("");
  const started = performance.now();
  const answer = await run(noisy, "Denoising", signal);
  if (!answer || signal.aborted) return;
  const time = panel.since(started);
  draw(canvas("denoised"), answer);
  canvas("denoised").classList.remove("old");
  say("denoised", `denoised: ${reached(answer)}`);
  await halfTheLight(noisy, answer, factor, signal);
  if (!signal.aborted) panel.progress(`${clean.width} x ${clean.height} pixels denoised in ${time}.`);
}

/** Denoise the picture in another light, and compare: f(a y) = a f(y)? */
async function halfTheLight(noisy, answer, factor, signal) {
  const dimmed = await run(combined(noisy, factor), "In the other light", signal);
  if (!dimmed || signal.aborted) return;
  const back = combined(dimmed, 1 / factor);
  draw(canvas("dimmed"), back);
  canvas("dimmed").classList.remove("old");
  panel.$(".verdict").textContent = relativeDifference(back, answer).toExponential(1);
}

function run(image, verb, signal) {
  const tiles = (done, total) => signal.aborted || panel.progress(`${verb}: ${done} of ${total} tiles`, done / total);
  return denoise(...panel.wanted, image, tiles, signal);
}

whenMade("try-denoise", async ({ photos }) => {
  let soon;
  for (const slider of [control("noise"), control("light")]) {
    slider.oninput = () => {
      clearTimeout(soon);
      soon = setTimeout(() => panel.refresh(), 100);
    };
  }
  control("network").onchange = () => panel.refresh();
  control("size").onchange = () => panel.reread();
  await panel.begin(photos);
});

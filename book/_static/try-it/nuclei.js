import { count } from "./network.js";
import { Panel, whenMade } from "./panel.js";
import { drawObjects } from "./picture.js";

const panel = new Panel("try-nuclei", { network: () => "nuclei", longest: () => 1536, draw: show });

async function show(loaded, signal) {
  const { picture } = panel;
  const canvas = panel.$("canvas");
  drawObjects(canvas, picture, new Int32Array(picture.width * picture.height));
  panel.$("figcaption").textContent = `${picture.width} x ${picture.height} pixels`;
  if (!loaded) return panel.progress("");
  const started = performance.now();
  const tiles = (done, total) => signal.aborted || panel.progress(`Counting: ${done} of ${total} tiles`, done / total);
  const found = await count(...panel.wanted, picture, Number(panel.$("[name=area]").value) || 1, tiles, signal);
  if (!found || signal.aborted) return;
  drawObjects(canvas, picture, found.labels);
  panel.$("figcaption").textContent = `${found.count} nuclei; where two touch, their colours differ`;
  panel.progress(`Counted in ${panel.since(started)}.`);
}

whenMade("try-nuclei", async ({ nuclei }) => {
  panel.$("[name=area]").onchange = () => panel.refresh();
  await panel.begin(nuclei);
});

// What both panels share: choosing a picture, loading a network, saying how far the work is, and what went wrong.

import { address, files, hasCard, load, missingBytes } from "./network.js";
import { read } from "./picture.js";

const COMPUTES = { wasm: "WebAssembly, on one core", webgpu: "WebGPU, on your graphics card" };
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

export class Panel {
  /** `network()` names the network in use; `draw(loaded, signal)` shows the picture, and runs the network once it is loaded. */
  constructor(id, { network, longest, draw }) {
    this.root = document.getElementById(id);
    Object.assign(this, { network, longest, draw, picture: null, source: null, loaded: new Set() });
    this.work = null;
    this.status = this.$("[role=status]");
    this.bar = this.$("progress");
    this.button = this.$(".load");
    this.card = this.$("[name=card]");
  }

  /** The network and the device in use: "webgpu" where the reader has chosen it, and "wasm" everywhere else. */
  get wanted() {
    return [this.network(), this.card.checked ? "webgpu" : "wasm"];
  }

  get isLoaded() {
    return this.loaded.has(String(this.wanted));
  }

  /** Say how long something took, and what has computed it. */
  since(started) {
    return `${Math.round(performance.now() - started)} ms by ${COMPUTES[this.wanted[1]]}`;
  }

  $(selector) {
    return this.root.querySelector(selector);
  }

  /** Offer the pictures that came with the page, and begin with the first. */
  async begin(examples) {
    for (const { file, title } of examples) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
      button.onclick = () => this.take(address(file), title);
      this.$(".examples").append(button);
    }
    this.$("input[type=file]").onchange = ({ target }) => target.files[0] && this.take(target.files[0], target.files[0].name);
    this.root.ondragover = (event) => event.preventDefault();
    this.root.ondrop = (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) this.take(file, file.name);
    };
    this.button.onclick = () => this.guarded(() => this.loadNetwork());
    this.card.onchange = () => this.refresh();
    this.card.checked = false; // some browsers remember it over a reload
    this.offerCard(); // beside the rest: a driver that answers late holds nothing up
    await this.offer();
    await this.take(address(examples[0].file), examples[0].title);
    this.root.dataset.ready = "";
  }

  /** Say on the button what is still to be loaded, or take it away. */
  async offer() {
    const bytes = await missingBytes(...this.wanted);
    this.button.hidden = this.isLoaded;
    const size = bytes ? ` (${megabytes(bytes)}, once)` : "";
    this.button.textContent = `${this.button.dataset.verb}: load the network${size}`;
  }

  /** Let the reader choose the graphics card, where there is one. */
  async offerCard() {
    if (!(await hasCard())) return;
    this.$(".card-size").textContent = megabytes((await files).runtimes.webgpu.bytes);
    this.$(".with-card").hidden = false;
  }

  /** Do some work; where the graphics card fails at it, say so, and go on without the card. */
  async orWithoutCard(work) {
    const [, device] = this.wanted;
    try {
      await work();
    } catch (error) {
      if (device === "wasm") throw error;
      if (this.card.disabled) return; // another failure has come first, and its work goes on
      Object.assign(this.card, { checked: false, disabled: true });
      this.$(".without-card").textContent = `WebGPU did not work, so WebAssembly computes. The reason: ${error.message}`;
      await this.loadNetwork();
    }
  }

  /** Show a picture: a file, or the address of one. */
  take(source, name) {
    return this.guarded(async () => {
      const blob = source instanceof Blob ? source : await (await fetch(source)).blob();
      this.picture = await read(blob, name, this.longest());
      this.source = [blob, name];
      for (const button of this.root.querySelectorAll(".examples button")) {
        button.ariaPressed = String(button.textContent === name);
      }
      await this.refresh();
    });
  }

  /** Read the same picture again, for another size. */
  reread() {
    return this.source && this.take(...this.source);
  }

  loadNetwork() {
    return this.orWithoutCard(async () => {
      const { wanted } = this;
      this.button.disabled = true;
      try {
        await load(...wanted, (done, total) => this.progress(`Loading ${megabytes(done)} of ${megabytes(total)}`, done / total));
        this.loaded.add(String(wanted));
      } finally {
        this.button.disabled = false;
        await this.offer();
      }
      await this.refresh();
    });
  }

  /** Draw anew, and give up what was being computed for the old settings. */
  refresh() {
    return this.guarded(async () => {
      this.work?.abort();
      const { signal } = (this.work = new AbortController());
      await this.offer();
      if (this.picture && !signal.aborted) await this.orWithoutCard(() => this.draw(this.isLoaded, signal));
    });
  }

  /** Say something, and how much of the work is done, from 0 to 1. */
  progress(text, part = null) {
    this.status.textContent = text;
    this.bar.hidden = part === null;
    if (part !== null) this.bar.value = part;
  }

  async guarded(work) {
    this.root.classList.remove("failed");
    try {
      await work();
    } catch (error) {
      this.root.classList.add("failed");
      this.progress(error.message);
    }
  }
}

/** Start a panel, or say on the page why it cannot be. */
export async function whenMade(id, begin) {
  const root = document.getElementById(id);
  try {
    const made = await files;
    if (made.missing) throw new Error(made.missing);
    await begin(made);
  } catch (error) {
    root.textContent = `This is not in this build of the book: ${error.message}.`;
  }
}

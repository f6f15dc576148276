// What both panels share: choosing a picture, loading a network, saying how far the work is, and what went wrong.

import { address, files, load, missingBytes } from "./network.js";
import { read } from "./picture.js";

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
    await this.offer();
    await this.take(address(examples[0].file), examples[0].title);
    this.root.dataset.ready = "";
  }

  /** Say on the button what is still to be loaded, or take it away. */
  async offer() {
    const bytes = await missingBytes(this.network());
    this.button.hidden = this.loaded.has(this.network());
    const size = bytes ? ` (${megabytes(bytes)}, once)` : "";
    this.button.textContent = `${this.button.dataset.verb}: load the network${size}`;
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

  async loadNetwork() {
    const name = this.network();
    this.button.disabled = true;
    try {
      await load(name, (done, total) => this.progress(`Loading ${megabytes(done)} of ${megabytes(total)}`, done / total));
      this.loaded.add(name);
    } finally {
      this.button.disabled = false;
      await this.offer();
    }
    await this.refresh();
  }

  /** Draw anew, and give up what was being computed for the old settings. */
  refresh() {
    return this.guarded(async () => {
      this.work?.abort();
      const { signal } = (this.work = new AbortController());
      await this.offer();
      if (this.picture && !signal.aborted) await this.draw(this.loaded.has(this.network()), signal);
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

// One of the two players: the stored video if the browser can play it, else stored pictures.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const WAIT_MS = 8000;

export class Side {
  // `changed` is called when a new frame is on screen after a seek.
  constructor(body, label, changed) {
    this.body = body;
    this.changed = changed;
    this.time = 0;
    this.video = null;
    this.screen = h("div", { class: "screen" });
    this.note = h("span", { class: "muted" });
    this.element = h("figure", { class: "side" }, this.screen, h("figcaption", {}, h("strong", {}, label), " ", this.note));
    if (body.width) this.screen.style.aspectRatio = `${body.width} / ${body.height}`;
  }

  get duration() { return this.body.duration_s; }

  // Resolves when something is visible.
  async load() {
    if (this.body.video && (await this.loadVideo())) return;
    if (this.body.picture) {
      this.image = h("img", { alt: "" });
      this.image.addEventListener("load", this.changed);
      this.screen.replaceChildren(this.image);
      this.note.textContent = t("player.pictures");
    } else {
      this.screen.replaceChildren(h("p", { class: "muted" }, t("player.nothing")));
    }
    this.seek(this.time);
  }

  async loadVideo() {
    const video = h("video", { muted: true, playsinline: true, preload: "auto", disablepictureinpicture: true, "aria-label": this.body.name || this.body.id });
    const loaded = new Promise((resolve) => {
      video.addEventListener("loadeddata", () => resolve(video.videoWidth > 0), { once: true });
      video.addEventListener("error", () => resolve(false), { once: true });
      setTimeout(() => resolve(false), WAIT_MS);
    });
    video.src = this.body.video;
    if (!(await loaded)) return false;
    this.video = video;
    video.muted = !this.heard;
    video.addEventListener("seeked", this.changed);
    this.screen.replaceChildren(video);
    return true;
  }

  seek(time) {
    this.time = Math.min(Math.max(time, 0), this.duration);
    if (this.video) this.video.currentTime = Math.min(this.time, Math.max(0, this.video.duration - 0.02));
    else if (this.image) this.show(nearest(this.body.picture_times_s, this.time));
  }

  show(index) {
    if (this.shown === index) return;
    this.shown = index;
    this.image.src = `${this.body.picture}?at=${this.body.picture_times_s[index]}`;
  }

  play(rate) {
    if (!this.video) return;
    this.video.playbackRate = Math.min(Math.max(rate, 0.1), 8);
    if (this.video.paused) this.video.play().catch(() => {});
  }

  // At most one side is heard.
  hear(wanted) { this.heard = wanted; if (this.video) this.video.muted = !wanted; }

  pause() { if (this.video) this.video.pause(); }

  // The current picture, for drawing; null before the first.
  get source() {
    const shown = this.video || this.image;
    const ready = this.video ? this.video.readyState >= 2 : this.image?.complete && this.image.naturalWidth;
    return ready ? shown : null;
  }
}

function nearest(times, time) {
  let best = 0;
  times.forEach((one, index) => { if (Math.abs(one - time) < Math.abs(times[best] - time)) best = index; });
  return best;
}

// Both videos in step: the left video determines the second of the right one.

import { h, icon, replace } from "./dom.js";
import { seconds } from "./format.js";
import { t } from "./i18n.js";
import { drawTogether } from "./together.js";
import { Side } from "./side.js";

const DRIFT_S = 0.12;
const FRAME_S = 0.1;
const NEAR_S = 1.5;
const BLINK_MS = 700;
const VIEWS = ["side", "blink", "difference"];

export function lineOf(segment) {
  const slope = segment.reversed ? -segment.speed : segment.speed;
  const start = segment.reversed ? segment.reference_end_s : segment.reference_start_s;
  return { slope, offset: start - slope * segment.query_start_s };
}

export class Player {
  constructor(evidence) {
    this.evidence = evidence;
    this.segments = evidence.segments;
    // A seek ends after the call: drawings in between show the previous frame.
    const changed = () => { if (this.view === "difference") this.draw(); };
    this.query = new Side(evidence.query, t("match.query"), changed);
    this.reference = new Side(evidence.reference, t("match.reference"), changed);
    this.line = this.segments.length ? lineOf(this.segments[0]) : { slope: 1, offset: 0 };
    this.current = 0;
    this.rate = 1;
    this.playing = false;
    this.view = "side";
    this.listeners = [];
    this.element = this.build();
  }

  async start(signal) {
    signal.addEventListener("abort", () => { this.pause(); cancelAnimationFrame(this.frame); clearInterval(this.blinking); });
    await Promise.all([this.query.load(), this.reference.load()]);
    this.toSegment(0);
  }

  get time() { return this.query.time; }

  referenceTime(time) { return this.line.slope * time + this.line.offset; }

  onmove(listener) { this.listeners.push(listener); }

  seek(time) {
    const segment = this.segmentAt(time);
    if (segment >= 0 && !this.free) { this.current = segment; this.line = lineOf(this.segments[segment]); }
    this.query.seek(time);
    this.reference.seek(this.referenceTime(this.query.time));
    this.moved();
  }

  segmentAt(time) {
    const inside = (one) => one && time >= one.query_start_s - 0.05 && time <= one.query_end_s + 0.05;
    return inside(this.segments[this.current]) ? this.current : this.segments.findIndex(inside);
  }

  // Moves both to their own instants: on the line of a near segment, else independent of lines.
  jump(time, referenceTime) {
    const near = this.segments.findIndex((one) => {
      const line = lineOf(one);
      return time >= one.query_start_s - 0.5 && time <= one.query_end_s + 0.5 && Math.abs(line.slope * time + line.offset - referenceTime) < NEAR_S;
    });
    this.free = near < 0;
    if (this.free) this.line = { slope: 1, offset: referenceTime - time };
    else this.current = near;
    this.seek(time);
  }

  toSegment(index) {
    if (!this.segments.length) return this.seek(0);
    this.free = false;
    this.current = (index + this.segments.length) % this.segments.length;
    return this.seek(this.segments[this.current].query_start_s);
  }

  step(frames) { this.pause(); this.seek(this.time + frames * FRAME_S); }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (this.time >= this.query.duration - 0.1) this.seek(0);
    this.playing = true;
    this.last = performance.now();
    this.query.play(this.rate);
    this.tick();
    this.label();
  }

  pause() {
    this.playing = false;
    this.query.pause();
    this.reference.pause();
    this.label();
  }

  tick() {
    if (!this.playing) return;
    const now = performance.now();
    if (this.query.video) this.query.time = this.query.video.currentTime;
    else this.query.seek(this.time + ((now - this.last) / 1000) * this.rate);
    this.last = now;
    const segment = this.free ? -1 : this.segmentAt(this.time);
    if (segment >= 0 && segment !== this.current) { this.current = segment; this.line = lineOf(this.segments[segment]); }
    this.follow();
    this.moved();
    if (this.time >= this.query.duration - 0.05 || this.query.video?.ended) this.pause();
    this.frame = requestAnimationFrame(() => this.tick());
  }

  follow() {
    const wanted = this.referenceTime(this.time);
    const outside = wanted < 0 || wanted > this.reference.duration;
    const speed = this.line.slope * this.rate;
    if (!this.reference.video || speed < 0.1 || outside) { this.reference.pause(); this.reference.seek(wanted); return; }
    this.reference.time = this.reference.video.currentTime;
    const drift = this.reference.time - wanted;
    if (Math.abs(drift) > DRIFT_S * 4) this.reference.seek(wanted);
    this.reference.play(speed * (drift > DRIFT_S ? 0.9 : drift < -DRIFT_S ? 1.1 : 1));
  }

  moved() {
    this.slider.value = this.time;
    this.slider.setAttribute("aria-valuetext", seconds(this.time));
    this.clock.textContent = `${seconds(this.time)}  ·  ${seconds(Math.max(0, Math.min(this.referenceTime(this.time), this.reference.duration)))}`;
    if (this.view === "difference" && this.playing) this.draw();
    for (const listener of this.listeners) listener(this.time, this.referenceTime(this.time), this.current);
  }

  label() {
    if (!this.button) return;
    const name = t(this.playing ? "player.pause" : "player.play");
    replace(this.button, icon(this.playing ? "pause" : "play"), h("span", {}, name));
    this.button.setAttribute("aria-label", name);
  }

  look(view) {
    this.view = view;
    clearInterval(this.blinking);
    this.element.dataset.view = view;
    for (const button of this.views.children) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    if (view === "blink") {
      let turn = 0;
      this.draw("query");
      this.blinking = setInterval(() => { turn += 1; this.draw(turn % 2 ? "reference" : "query"); }, BLINK_MS);
    } else if (view === "difference") this.draw();
  }

  draw(only) {
    drawTogether(this.canvas, this.query.source, this.reference.source, this.evidence.hints, only);
    this.stageNote.textContent = only ? t(`match.${only}`) : "";
  }

  build() {
    const action = (name, symbol, run) => h("button", { class: "square", title: t(name), "aria-label": t(name), onclick: run }, icon(symbol));
    this.button = h("button", { class: "primary", onclick: () => this.toggle() });
    this.slider = h("input", { type: "range", min: 0, max: this.query.duration, step: 0.05, "aria-label": t("player.seek") });
    this.slider.addEventListener("input", () => { this.pause(); this.seek(Number(this.slider.value)); });
    this.clock = h("output", { class: "clock" });
    this.canvas = h("canvas", { role: "img", "aria-label": t("player.stage") });
    this.stageNote = h("span", { class: "muted" });
    this.views = h("div", { class: "segmented", role: "group", "aria-label": t("player.view") },
      VIEWS.map((view) => h("button", { "data-view": view, "aria-pressed": String(view === "side"), onclick: () => this.look(view) }, t(`player.${view}`))));
    const rate = h("select", { "aria-label": t("player.rate") }, [0.25, 0.5, 1, 2].map((value) => h("option", { value, selected: value === 1 }, `${value}×`)));
    rate.addEventListener("change", () => { this.rate = Number(rate.value); if (this.playing) this.query.play(this.rate); });
    const heard = h("select", { "aria-label": t("player.sound") }, ["none", "query", "reference"].map((side) => h("option", { value: side }, t(`player.sound.${side}`))));
    heard.addEventListener("change", () => { for (const side of ["query", "reference"]) this[side].hear(side === heard.value); });
    this.label();
    const several = this.segments.length > 1;
    return h("section", { class: "card player", "data-view": "side" },
      h("div", { class: "sides" }, this.query.element, this.reference.element),
      h("figure", { class: "together" }, this.canvas, h("figcaption", {}, this.stageNote)),
      this.slider,
      h("div", { class: "controls" }, this.button,
        several && action("player.previous", "back", () => this.toSegment(this.current - 1)),
        several && action("player.next", "next", () => this.toSegment(this.current + 1)),
        this.clock, rate, heard, this.views));
  }
}

"use strict";
// Hover, zoom and keyboard for the plots of a benchmark page. The drawings are whole without it.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const NEAR = 36, MIN_SPAN = 1e-4, ZOOM = 1.6;

  const text = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    const digits = size === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size)));
    return value.toLocaleString("en", { maximumFractionDigits: Math.min(digits, 6) });
  };
  const withUnit = (value, axis) => axis.unit ? `${text(value)} ${axis.unit}` : text(value);

  const place = (axis, value) => axis.kind === "log"
    ? (Math.log(Math.max(value, axis.low / 10)) - Math.log(axis.low)) / (Math.log(axis.high) - Math.log(axis.low))
    : (value - axis.low) / (axis.high - axis.low);
  const valueAt = (axis, share) => axis.kind === "log"
    ? Math.exp(Math.log(axis.low) + share * (Math.log(axis.high) - Math.log(axis.low)))
    : axis.low + share * (axis.high - axis.low);

  const linearTicks = (low, high) => {
    const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((one) => power * one >= raw * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
    return found;
  };
  const ticks = (axis, low, high) => {
    if (axis.kind !== "log") return linearTicks(low, high);
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p += 1) {
        for (const one of steps) { const v = one * 10 ** p; if (v >= low && v <= high) found.push(v); }
      }
      if (found.length <= 8) return found.length >= 2 ? found : linearTicks(low, high);
    }
    return [];
  };
  const tickText = (value) => value.toLocaleString("en", { maximumSignificantDigits: 8 }).replaceAll(",", "\u00a0");

  class Plot {
    constructor(figure) {
      this.figure = figure;
      this.data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
      this.from = 0; this.to = 1;          // what is shown of the x axis, as shares of it
      this.hidden = new Set();
      this.series = 0; this.point = -1;    // where the keyboard stands
      this.tip = figure.querySelector(".tip");
      this.say = figure.querySelector(".live");
      this.stage = figure.querySelector(".stage");
      this.drawings = [...figure.querySelectorAll("svg.drawing")];
      this.drawings.forEach((svg) => this.listen(svg));
      figure.querySelectorAll("[data-act]").forEach((button) => {
        button.hidden = !this.data.zoom && button.dataset.act !== "series";
        button.addEventListener("click", () => this.act(button));
      });
      figure.classList.add("ready");
    }

    get svg() { return this.drawings.find((one) => one.getClientRects().length > 0) || this.drawings[0]; }

    // Pixels of the drawing's own coordinates, whatever size it is shown at.
    frame(svg) {
      const n = (name) => Number(svg.dataset[name]);
      return { left: n("left"), width: n("width"), top: n("top"), height: n("height") };
    }
    local(svg, event) {
      const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
      return { x: (event.clientX - box.left) / scale, y: (event.clientY - box.top) / scale, scale, box };
    }
    shown(svg, x) {
      const { left, width } = this.frame(svg);
      return left + (place(this.data.x, x) - this.from) / (this.to - this.from) * width;
    }
    height(svg, y) { const { top, height } = this.frame(svg); return top + (1 - place(this.data.y, y)) * height; }

    listen(svg) {
      svg.setAttribute("tabindex", "0");
      let start = null;
      svg.addEventListener("pointermove", (event) => {
        const at = this.local(svg, event);
        if (start !== null) this.select(svg, start, at.x); else this.point_at(svg, at);
      });
      svg.addEventListener("pointerleave", () => this.hide());
      svg.addEventListener("pointerdown", (event) => {
        if (!this.data.zoom || event.button !== 0 || event.pointerType === "touch") { this.point_at(svg, this.local(svg, event)); return; }
        start = this.local(svg, event).x; svg.setPointerCapture(event.pointerId);
      });
      const end = (event) => {
        if (start === null) return;
        const { left, width } = this.frame(svg), stop = this.local(svg, event).x, begin = start;
        start = null; this.select(svg, null);
        if (event.type === "pointerup" && Math.abs(stop - begin) > 6) {
          const share = (x) => this.from + Math.min(1, Math.max(0, (x - left) / width)) * (this.to - this.from);
          this.show(share(Math.min(begin, stop)), share(Math.max(begin, stop)));
        }
      };
      svg.addEventListener("pointerup", end);
      svg.addEventListener("pointercancel", end);
      svg.addEventListener("dblclick", () => this.show(0, 1));
      svg.addEventListener("keydown", (event) => this.key(svg, event));
      svg.addEventListener("blur", () => this.hide());
    }

    select(svg, from, to) {
      let box = svg.querySelector(".selection");
      if (from === null) { if (box) box.remove(); return; }
      if (!box) { box = document.createElementNS(SVG, "rect"); box.setAttribute("class", "selection"); svg.append(box); }
      const { top, height, left, width } = this.frame(svg);
      const low = Math.max(left, Math.min(from, to)), high = Math.min(left + width, Math.max(from, to));
      box.setAttribute("x", low); box.setAttribute("width", Math.max(0, high - low)); box.setAttribute("y", top); box.setAttribute("height", height);
      this.hide();
    }

    show(from, to) {
      if (to - from < MIN_SPAN) return;
      this.from = Math.max(0, from); this.to = Math.min(1, to);
      this.hide();
      this.drawings.forEach((svg) => this.redraw(svg));
      const reset = this.figure.querySelector("[data-act='reset']");
      if (reset) reset.disabled = this.from === 0 && this.to === 1;
      const low = withUnit(valueAt(this.data.x, this.from), this.data.x), high = withUnit(valueAt(this.data.x, this.to), this.data.x);
      this.say.textContent = `Shown: ${low} to ${high}.`;
    }

    redraw(svg) {
      const { left, width, top, height } = this.frame(svg), span = this.to - this.from;
      svg.querySelector(".marks").setAttribute("transform", `scale(${1 / span} 1) translate(${-this.from * width} 0)`);
      const group = svg.querySelector(".x-ticks");
      group.replaceChildren();
      let last = -1e9;
      for (const value of ticks(this.data.x, valueAt(this.data.x, this.from), valueAt(this.data.x, this.to))) {
        const x = this.shown(svg, value);
        if (x - last < 34) continue;
        last = x;
        const line = document.createElementNS(SVG, "line"), label = document.createElementNS(SVG, "text");
        line.setAttribute("class", "grid"); line.setAttribute("x1", x); line.setAttribute("x2", x);
        line.setAttribute("y1", top); line.setAttribute("y2", top + height);
        label.setAttribute("class", "tick middle"); label.setAttribute("x", x); label.setAttribute("y", top + height + 17);
        label.textContent = tickText(value);
        group.append(line, label);
      }
      svg.querySelectorAll(".rule-labels [data-x]").forEach((label) => {
        const x = this.shown(svg, Number(label.dataset.x)), isEnd = x > left + width * 0.75;
        label.setAttribute("x", x + (isEnd ? -4 : 4)); label.classList.toggle("end", isEnd);
        label.toggleAttribute("hidden", x < left || x > left + width);
      });
    }

    // The candidates under a pointer: the nearest point of every series that is shown.
    nearest(svg, at) {
      let best = null, least = NEAR * NEAR;
      this.data.layers.forEach((layer, number) => {
        if (this.hidden.has(layer.name)) return;
        if (layer.kind === "cells") {
          const x = valueAt(this.data.x, this.from + (at.x - this.frame(svg).left) / this.frame(svg).width * (this.to - this.from));
          const { top, height } = this.frame(svg), y = valueAt(this.data.y, 1 - (at.y - top) / height);
          const found = layer.cells.findIndex((one) => x >= one[0] && x < one[1] && y >= one[2] && y < one[3]);
          if (found >= 0) { best = { number, index: found }; least = -1; }
          return;
        }
        layer.points.forEach((point, index) => {
          const dx = this.shown(svg, point[0]) - at.x, dy = this.height(svg, point[1]) - at.y;
          const distance = layer.kind === "line" ? dx * dx + dy * dy * 0.02 : dx * dx + dy * dy;
          if (distance < least) { least = distance; best = { number, index }; }
        });
      });
      return best;
    }

    point_at(svg, at) {
      const found = this.nearest(svg, at);
      if (found === null) { this.hide(); return; }
      this.reveal(svg, found.number, found.index, false);
    }

    reveal(svg, number, index, isSaid) {
      const layer = this.data.layers[number];
      const isCell = layer.kind === "cells", one = isCell ? layer.cells[index] : layer.points[index];
      const x = isCell ? (one[0] + one[1]) / 2 : one[0], y = isCell ? Math.sqrt(one[2] * one[3]) || (one[2] + one[3]) / 2 : one[1];
      const lines = this.words(layer, index, one);
      this.tip.replaceChildren(...lines.map((line, n) => { const row = document.createElement(n ? "span" : "strong"); row.textContent = line; return row; }));
      this.tip.hidden = false;
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const left = this.shown(svg, x) * scale, top = this.height(svg, y) * scale;
      const width = this.tip.offsetWidth, room = this.stage.clientWidth;
      this.tip.style.left = `${Math.max(0, Math.min(room - width, left + 14 + width > room ? left - width - 14 : left + 14))}px`;
      this.tip.style.top = `${Math.max(0, top - this.tip.offsetHeight - 8)}px`;
      this.mark(svg, this.shown(svg, x), this.height(svg, y));
      if (isSaid) this.say.textContent = lines.join(", ");
    }

    words(layer, index, one) {
      if (layer.kind === "cells") return one[5].split("\n");
      if (layer.texts && layer.texts[index]) return layer.texts[index].split("\n");
      const { x, y } = this.data;
      return [layer.name, `${x.title}: ${withUnit(one[0], x)}`, `${y.title}: ${withUnit(one[1], y)}`].filter(Boolean);
    }

    mark(svg, x, y) {
      let ring = svg.querySelector(".ring");
      if (!ring) { ring = document.createElementNS(SVG, "circle"); ring.setAttribute("class", "ring"); ring.setAttribute("r", 6); svg.append(ring); }
      ring.setAttribute("cx", x); ring.setAttribute("cy", y);
    }

    hide() {
      this.tip.hidden = true;
      this.drawings.forEach((svg) => { const ring = svg.querySelector(".ring"); if (ring) ring.remove(); });
    }

    act(button) {
      const act = button.dataset.act;
      if (act === "series") {
        const name = button.dataset.series, isHidden = !this.hidden.has(name);
        if (isHidden) this.hidden.add(name); else this.hidden.delete(name);
        button.setAttribute("aria-pressed", String(!isHidden));
        this.figure.querySelectorAll("[data-name]").forEach((mark) => { if (mark.dataset.name === name) mark.toggleAttribute("hidden", isHidden); });
        this.hide();
        return;
      }
      this.zoom(act);
    }

    zoom(act) {
      if (!this.data.zoom) return;
      const middle = (this.from + this.to) / 2, half = (this.to - this.from) / 2;
      if (act === "reset") { this.show(0, 1); return; }
      const wanted = act === "in" ? half / ZOOM : Math.min(0.5, half * ZOOM);
      const from = Math.max(0, Math.min(1 - 2 * wanted, middle - wanted));
      this.show(from, from + 2 * wanted);
    }

    key(svg, event) {
      const acts = { "+": "in", "=": "in", "-": "out", "0": "reset" };
      if (acts[event.key] && !event.ctrlKey && !event.metaKey) { this.zoom(acts[event.key]); event.preventDefault(); return; }
      if (event.key === "Escape") { this.hide(); return; }
      const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
      const shown = this.data.layers.map((layer, number) => ({ layer, number })).filter(({ layer }) => !this.hidden.has(layer.name));
      if (!shown.length) return;
      if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        this.series = (this.series + (event.key === "ArrowUp" ? 1 : shown.length - 1)) % shown.length;
        this.point = Math.max(0, this.point);
      } else if (event.key in moves) {
        this.point = this.point < 0 && Number.isFinite(moves[event.key]) ? 0 : this.point + moves[event.key];
      } else return;
      event.preventDefault();
      const { layer, number } = shown[this.series % shown.length], order = this.order(layer);
      this.point = Math.max(0, Math.min(order.length - 1, this.point));
      this.keep_in_view(layer, order[this.point]);
      this.reveal(svg, number, order[this.point], true);
    }

    order(layer) {
      if (layer.order) return layer.order;
      const list = layer.points || layer.cells;
      layer.order = list.map((_, index) => index).sort((a, b) => list[a][0] - list[b][0]);
      return layer.order;
    }

    keep_in_view(layer, index) {
      const one = layer.points ? layer.points[index] : layer.cells[index], at = place(this.data.x, one[0]), span = this.to - this.from;
      if (at < this.from || at > this.to) { const from = Math.max(0, Math.min(1 - span, at - span / 2)); this.show(from, from + span); }
    }
  }

  document.querySelectorAll("figure.plot").forEach((figure) => new Plot(figure));
})();

"use strict";
// Draws panes that share one time axis, as SVG, and reports the slot under the pointer.
// Belongs here: scales, axes, marks, pointer and keyboard. Does not belong here: prices, ranges and symbols (`page.js`).
// A slot is a session, or a week or month of sessions. Colours are CSS variables, so that light, dark and print need no
// second drawing.
const Chart = (() => {
  const LEFT = 10, RIGHT = 62, TOP = 14, GAP = 18, AXIS = 26;
  const DAY_WIDTH = 62, MONTH_WIDTH = 44, LABEL_HEIGHT = 30, DRAG = 8, DAY = 864e5;
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

  function add(parent, name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  // ---- axes

  const week = (day) => Math.floor((Date.parse(day) / DAY + 3) / 7);
  const monthAndDay = (day) => `${MONTHS[Number(day.slice(5, 7)) - 1]} ${Number(day.slice(8))}`;
  const month = (day) => MONTHS[Number(day.slice(5, 7)) - 1];
  const year = (day) => day.slice(0, 4);
  const quarter = (day) => year(day) + Math.floor((Number(day.slice(5, 7)) - 1) / 3);
  // From fine to coarse: what begins at a label, its text, and the room that it needs.
  const LEVELS = [
    [(day) => day, monthAndDay, DAY_WIDTH],
    [week, monthAndDay, DAY_WIDTH],
    [(day) => day.slice(0, 7), month, MONTH_WIDTH],
    [quarter, month, MONTH_WIDTH],
    [year, year, MONTH_WIDTH],
    [(day) => Math.floor(Number(year(day)) / 2), year, MONTH_WIDTH],
    [(day) => Math.floor(Number(year(day)) / 5), year, MONTH_WIDTH],
  ];

  // On every axis, the first label of a year after the first one is the year.
  const withYears = (labels, days) => labels.map(({ i, text }, n) =>
    ({ i, text: year(days[i]) === year(days[n ? labels[n - 1].i : 0]) ? text : year(days[i]) }));

  function timeLabels(days, x, width) {
    const all = days.map((_, i) => i);
    for (const [n, [key, text, needed]] of LEVELS.entries()) {
      const starts = all.filter((i) => n === 0 || (i > 0 && key(days[i]) !== key(days[i - 1])));
      if (starts.length * needed > width) continue;
      let last = -Infinity;
      const labels = starts.map((i) => ({ i, text: text(days[i]) })).filter(({ i }) => {
        if (x(i) - last < MONTH_WIDTH) return false;
        last = x(i);
        return true;
      });
      if (labels.length > 1 || days.length < 2) return withYears(labels, days);
      break;
    }
    // No unit has room and at least two labels: every second, third ... slot is labelled.
    const every = Math.ceil(days.length * DAY_WIDTH / width);
    return withYears(all.filter((i) => i % every === 0).map((i) => ({ i, text: monthAndDay(days[i]) })), days);
  }

  function step(span, count) {
    const raw = span / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].find((times) => times * power >= raw) * power;
  }

  function valueTicks(low, high, height, log) {
    const count = Math.max(2, Math.floor(height / LABEL_HEIGHT / 1.4));
    if (log && high / low > 3) {
      const found = [];
      for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
        for (const times of [1, 2, 5]) if (times * power >= low && times * power <= high) found.push(times * power);
      }
      return found;
    }
    const by = step(high - low, count);
    const found = [];
    for (let n = Math.ceil(low / by); n * by <= high * (1 + 1e-9); n += 1) found.push(n * by + 0); // not −0
    return found;
  }

  function extent(pane) {
    const lists = pane.series.flatMap((one) => one.kind === "candles" ? [one.low, one.high] : [one.values]);
    let low = pane.zero ? 0 : Infinity, high = pane.zero ? 0 : -Infinity;
    for (const list of lists) for (const value of list) if (value !== null) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return null;
    if (pane.domain) return pane.domain;
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    const log = pane.log && low > 0;
    const below = low < 0 ? low - room : Math.max(0, low - room);
    return [log ? low * 0.98 : below, log ? high * 1.02 : high + room];
  }

  // ---- marks

  const path = (pieces) => pieces.join("") || "M0 0";
  const at = (value) => value.toFixed(1);

  function linePath(values, x, y) {
    const pieces = [];
    let drawing = false;
    values.forEach((value, i) => {
      if (value === null) { drawing = false; return; }
      // A value between two missing ones would be invisible without a stroke of its own.
      const alone = !drawing && (i + 1 >= values.length || values[i + 1] === null);
      pieces.push(`${drawing ? "L" : "M"}${at(x(i))} ${at(y(value))}${alone ? "h0.1" : ""}`);
      drawing = true;
    });
    return path(pieces);
  }

  function areaPath(values, x, y, bottom) {
    const pieces = [];
    for (let i = 0; i < values.length; i += 1) {
      if (values[i] === null) continue;
      const from = i;
      while (i + 1 < values.length && values[i + 1] !== null) i += 1;
      pieces.push(`M${at(x(from))} ${bottom}`);
      for (let k = from; k <= i; k += 1) pieces.push(`L${at(x(k))} ${at(y(values[k]))}`);
      pieces.push(`L${at(x(i))} ${bottom}Z`);
    }
    return path(pieces);
  }

  function drawLine(group, one, place) {
    if (one.area) add(group, "path", { d: areaPath(one.values, place.x, place.y, place.bottom), fill: one.colour, class: "area" });
    add(group, "path", {
      d: linePath(one.values, place.x, place.y), fill: "none", stroke: one.colour, "stroke-width": one.width || 2,
      "stroke-linejoin": "round", "stroke-linecap": "round", class: `line ${one.name}`,
      ...(one.dash ? { "stroke-dasharray": one.dash } : {}),
    });
  }

  function drawDots(group, one, { x, y }) {
    const pieces = one.values.map((value, i) => value === null ? "" : `M${at(x(i))} ${at(y(value))}h0.01`);
    add(group, "path", { d: path(pieces), stroke: one.colour, "stroke-width": 3, "stroke-linecap": "round", class: "dots" });
  }

  // One path per colour: thousands of elements would be slow.
  function drawBars(group, one, { x, y, slot }) {
    const width = one.solid ? slot + 0.4 : Math.max(0.6, Math.min(24, slot * 0.72));
    const zero = y(0);
    const byColour = {};
    one.values.forEach((value, i) => {
      if (value === null) return;
      const to = y(value);
      (byColour[one.colourOf(i)] ||= []).push(`M${at(x(i) - width / 2)} ${at(zero)}H${at(x(i) + width / 2)}V${at(to)}H${at(x(i) - width / 2)}Z`);
    });
    for (const [colour, pieces] of Object.entries(byColour)) add(group, "path", { d: path(pieces), fill: colour, class: "bars" });
  }

  function drawCandles(group, one, { x, y, slot }) {
    const width = Math.max(1.5, Math.min(18, slot * 0.7));
    const drawn = { up: { wicks: [], bodies: [] }, down: { wicks: [], bodies: [] } };
    one.close.forEach((close, i) => {
      if (close === null) return;
      const to = drawn[close >= one.open[i] ? "up" : "down"];
      const top = y(Math.max(close, one.open[i])), bottom = Math.max(top + 1, y(Math.min(close, one.open[i])));
      to.wicks.push(`M${at(x(i))} ${at(y(one.high[i]))}V${at(y(one.low[i]))}`);
      to.bodies.push(`M${at(x(i) - width / 2)} ${at(top)}h${at(width)}V${at(bottom)}h${at(-width)}Z`);
    });
    for (const [kind, { wicks, bodies }] of Object.entries(drawn)) {
      add(group, "path", { d: path(wicks), stroke: `var(--${kind})`, class: `wicks ${kind}` });
      add(group, "path", { d: path(bodies), fill: `var(--${kind})`, class: `bodies ${kind}` });
    }
  }

  const DRAW = { line: drawLine, dots: drawDots, bars: drawBars, candles: drawCandles };

  function badge(group, x, y, width, text, colour) {
    add(group, "rect", { x, y: y - 9, width, height: 18, rx: 3, fill: colour });
    add(group, "text", { x: x + width / 2, y: y + 4, "text-anchor": "middle", class: "on-badge" }, text);
  }

  // The names of lines at their ends, moved apart where they would overlap.
  function drawTags(svg, pane, right) {
    const tags = pane.series.filter((one) => one.tag && one.values.some((value) => value !== null))
      .map((one) => ({ one, y: pane.y(one.values.findLast((value) => value !== null)) })).sort((a, b) => a.y - b.y);
    tags.forEach((tag, n) => { if (n) tag.y = Math.max(tag.y, tags[n - 1].y + 19); });
    for (const { one, y } of tags) badge(svg, right + 2, Math.min(y, pane.bottom), RIGHT - 4, one.tag, one.colour);
  }

  // ---- the chart

  function placed(pane, top, x, slot) {
    const bottom = top + pane.height;
    const domain = extent(pane);
    if (!domain) return { ...pane, top, bottom, empty: true };
    const log = pane.log && domain[0] > 0;
    const of = log ? Math.log : (value) => value;
    const [low, high] = domain.map(of);
    const y = (value) => bottom - (of(value) - low) / (high - low) * pane.height;
    const value = (py) => log ? Math.exp(low + (bottom - py) / pane.height * (high - low))
      : low + (bottom - py) / pane.height * (high - low);
    return { ...pane, top, bottom, domain, log, x, y, value, slot };
  }

  function drawPane(svg, pane, width) {
    const right = width - RIGHT;
    add(svg, "text", { x: LEFT, y: pane.top - 3, class: "pane" }, pane.title);
    if (pane.empty) {
      add(svg, "text", { x: (LEFT + right) / 2, y: (pane.top + pane.bottom) / 2, "text-anchor": "middle", class: "needs" }, pane.needs);
      return;
    }
    const ticks = valueTicks(...pane.domain, pane.height, pane.log);
    let lastLabel = Infinity;
    for (const tick of ticks) {
      const y = pane.y(tick);
      if (lastLabel - y < 16) continue;
      lastLabel = y;
      // The badge of the last value covers a label beside it.
      const covered = isFinite(pane.last) && Math.abs(y - pane.y(pane.last)) < 14;
      add(svg, "line", { x1: LEFT, x2: right, y1: at(y), y2: at(y), class: "grid" });
      if (!covered) add(svg, "text", { x: right + 6, y: at(y + 4), class: "tick" }, pane.format(tick, ticks.length > 1 ? ticks[1] - ticks[0] : tick || 1));
    }
    const group = add(svg, "g", {});
    for (const one of pane.series) DRAW[one.kind](group, one, pane);
    if (pane.last !== undefined && pane.last !== null) {
      const y = pane.y(pane.last);
      add(svg, "line", { x1: LEFT, x2: right, y1: at(y), y2: at(y), class: "last" });
      badge(svg, right + 2, y, RIGHT - 4, pane.format(pane.last), "var(--main)");
    }
    drawTags(svg, pane, right);
  }

  function drawTime(svg, chart, x, width, panes) {
    const bottom = panes[panes.length - 1].bottom;
    for (const { i, text } of timeLabels(chart.days, x, width - LEFT - RIGHT)) {
      add(svg, "line", { x1: at(x(i)), x2: at(x(i)), y1: TOP, y2: bottom, class: "grid" });
      const anchor = x(i) < LEFT + 24 ? "start" : x(i) > width - RIGHT - 4 ? "end" : "middle";
      add(svg, "text", { x: at(anchor === "start" ? LEFT : x(i)), y: bottom + 18, "text-anchor": anchor, class: "time" }, text);
    }
    for (const i of chart.missing || []) {
      add(svg, "text", { x: at(x(i)), y: panes[0].bottom - 2, "text-anchor": "middle", class: "missing" }, "×");
    }
    for (const [i, text] of chart.splits || []) {
      add(svg, "line", { x1: at(x(i)), x2: at(x(i)), y1: TOP, y2: bottom, class: "split" });
      const atEnd = x(i) > width - RIGHT - 60;
      add(svg, "text", { x: at(x(i) + (atEnd ? -4 : 4)), y: TOP + 12, "text-anchor": atEnd ? "end" : "start", class: "split-label" }, `${text} split`);
    }
  }

  function cursor(svg, chart, x, width, panes) {
    const layer = add(svg, "g", { class: "cursor" });
    const bottom = panes[panes.length - 1].bottom;
    return (i, py) => {
      layer.replaceChildren();
      if (i === null) return;
      add(layer, "line", { x1: at(x(i)), x2: at(x(i)), y1: TOP, y2: bottom, class: "cross" });
      for (const pane of panes) for (const one of pane.empty ? [] : pane.series) {
        const value = one.kind === "line" ? one.values[i] : null;
        if (value !== null && value !== undefined) add(layer, "circle", { cx: at(x(i)), cy: at(pane.y(value)), r: 4, fill: one.colour, class: "dot" });
      }
      const pane = panes.find((one) => !one.empty && py >= one.top && py <= one.bottom);
      if (pane) {
        add(layer, "line", { x1: LEFT, x2: width - RIGHT, y1: at(py), y2: at(py), class: "cross" });
        badge(layer, width - RIGHT + 2, py, RIGHT - 4, pane.format(pane.value(py), (pane.domain[1] - pane.domain[0]) / 100), "var(--muted)");
      }
      const middle = Math.max(44, Math.min(width - RIGHT - 34, x(i)));
      badge(layer, middle - 42, bottom + 14, 84, chart.days[i], "var(--muted)");
    };
  }

  // Pointer: move shows values, a drag zooms. A finger scrolls the page up and down, and shows values sideways.
  function listen(svg, chart, slotAt, show, select) {
    let from = null, moved = false, current = null;
    const point = (i, y) => { current = i; show(i, y); chart.onPoint(i); };
    const place = (event) => {
      const box = svg.getBoundingClientRect(), ratio = svg.viewBox.baseVal.width / box.width;
      return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" || event.button !== 0 || !chart.onZoom) return;
      [from] = place(event);
      moved = false;
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const [px, py] = place(event);
      point(slotAt(px), py);
      if (from === null) return;
      moved = moved || Math.abs(px - from) > DRAG;
      if (moved) select(from, px);
    });
    svg.addEventListener("pointerup", (event) => {
      const [px] = place(event);
      if (from !== null && moved) chart.onZoom(...[slotAt(from), slotAt(px)].sort((a, b) => a - b));
      from = null;
      select(null);
    });
    svg.addEventListener("pointerleave", () => { if (from === null) point(null, 0); });
    svg.addEventListener("keydown", (event) => {
      const last = chart.days.length - 1, now = current === null ? last : current, by = event.shiftKey ? 10 : 1;
      const to = { ArrowLeft: now - by, ArrowRight: now + by, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      point(Math.max(0, Math.min(last, to)), -1);
    });
    svg.addEventListener("blur", () => point(null, 0));
  }

  const room = (holder) => Math.max(260, holder.clientWidth) - LEFT - RIGHT;

  // chart: label, days (last day of each slot), panes, splits, missing, onPoint(slot), onZoom(first slot, last slot).
  // A pane: title, height, format, series, needs (what an empty pane needs), and optionally log, zero, domain, last.
  function draw(holder, chart) {
    const plot = room(holder), width = plot + LEFT + RIGHT, slot = plot / Math.max(chart.days.length, 1);
    const x = (i) => LEFT + (i + 0.5) * slot;
    let top = TOP;
    const panes = chart.panes.map((pane) => {
      const one = placed(pane, top, x, slot);
      top = one.bottom + GAP;
      return one;
    });
    const height = top - GAP + AXIS;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.label, tabindex: 0 })) {
      svg.setAttribute(key, value);
    }
    drawTime(svg, chart, x, width, panes);
    for (const pane of panes) drawPane(svg, pane, width);
    const selection = add(svg, "rect", { y: TOP, height: height - AXIS - TOP, class: "selection", width: 0 });
    const slotAt = (px) => Math.max(0, Math.min(chart.days.length - 1, Math.floor((px - LEFT) / slot)));
    if (chart.days.length) {
      listen(svg, chart, slotAt, cursor(svg, chart, x, width, panes), (from, to) => {
        selection.setAttribute("x", from === null ? 0 : Math.min(from, to));
        selection.setAttribute("width", from === null ? 0 : Math.abs(to - from));
      });
    }
    holder.replaceChildren(svg);
  }

  return { draw, room, week, quarter };
})();

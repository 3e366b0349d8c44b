"use strict";
// Fills the charts: symbol, range, comparison and address. Numbers come from the element `data`.
// Belongs here: state and controls. Does not belong here: values (`values.js`), drawing (`chart.js`), tables
// (`tables.js`).
(async () => {
  const find = (id) => document.getElementById(id);
  const packed = find("data").textContent;
  if (!packed) return Tables.watch();
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  const { days } = data;
  const { isNumber, mean, lastValue, lastOf, startOf, slotsOf, valuesOf } = Values(data);

  const RANGES = { "1m": [1, "1M"], "3m": [3, "3M"], "6m": [6, "6M"], ytd: [0, "YTD"], "1y": [12, "1Y"], "5y": [60, "5Y"], all: [null, "All"] };
  const COLOURS = ["var(--main)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"];
  const AVERAGES = { avg90: "var(--c2)", avg5: "var(--c3)" };
  const CANDLE_WIDTH = 4, LINE_WIDTH = 1, TABLE_ROWS = 60;
  const DEFAULTS = { range: "1y", type: "line", scale: "linear", price: "adjusted" };
  const state = { symbol: "", ...DEFAULTS, compare: [], show: [], from: "", to: "" };
  const form = find("controls"), symbolBox = find("symbol");

  // ---- numbers as text

  const digits = (least, most) => new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
  const [two, four, whole] = [digits(2, 2), digits(2, 4), digits(0, 0)];
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });
  const price = (value) => (Math.abs(value) < 10 ? four : two).format(value);
  const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${two.format(Math.abs(value))} %`;
  const count = (number, unit) => `${whole.format(number)} ${unit}${number === 1 ? "" : "s"}`;
  const direction = (value) => value > 0 ? "up" : value < 0 ? "down" : "";
  // An axis has as many decimals as the distance between its labels needs.
  function axis(value, by) {
    if (by === undefined) return value >= 1e5 ? compact.format(value) : price(value);
    const needed = Math.max(0, Math.min(4, -Math.floor(Math.log10(by) + 1e-9)));
    return value >= 1e5 ? compact.format(value) : digits(needed, needed).format(value);
  }
  const shares = (value) => compact.format(value);

  // ---- the address holds the state: #NVDA&range=1y&compare=AMD,INTC

  function readAddress() {
    const [symbol, ...rest] = location.hash.slice(1).split("&").map(decodeURIComponent);
    const given = Object.fromEntries(rest.map((part) => part.split("=")));
    const known = (name) => name in data.series;
    const chosen = (name, allowed) => allowed.includes(given[name]) ? given[name] : DEFAULTS[name];
    state.symbol = known(symbol) ? symbol : known(state.symbol) ? state.symbol : Object.keys(data.series).sort()[0];
    state.range = chosen("range", Object.keys(RANGES));
    state.type = chosen("type", ["line", "candles"]);
    state.scale = chosen("scale", ["linear", "log"]);
    state.price = chosen("price", ["adjusted", "traded"]);
    state.compare = (given.compare || "").split(",").filter((name) => known(name) && name !== state.symbol).slice(0, COLOURS.length - 1);
    state.show = (given.show || "").split(",").filter(Boolean);
    state.from = days.includes(given.from) ? given.from : "";
    state.to = days.includes(given.to) && given.to >= given.from ? given.to : "";
    if (!state.to) state.from = "";
  }

  function writeAddress() {
    const parts = [encodeURIComponent(state.symbol), `range=${state.range}`];
    for (const name of ["type", "scale", "price"]) if (state[name] !== DEFAULTS[name]) parts.push(`${name}=${state[name]}`);
    for (const name of ["compare", "show"]) if (state[name].length) parts.push(`${name}=${state[name].map(encodeURIComponent).join(",")}`);
    if (state.from) parts.push(`from=${state.from}`, `to=${state.to}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  // ---- which sessions are shown

  const shownSymbols = () => [state.symbol, ...state.compare];

  function span() {
    const first = Math.min(...shownSymbols().map((symbol) => data.series[symbol].first));
    const last = Math.max(...shownSymbols().map(lastOf));
    const available = Object.keys(RANGES).filter((range) => range === "all" || startOf(RANGES[range][0], last) >= first);
    const range = available.includes(state.range) ? state.range : "all";
    const whole = [range === "all" ? first : startOf(RANGES[range][0], last), last];
    const zoomed = state.from ? [days.indexOf(state.from), days.indexOf(state.to)] : null;
    return { available, range, ends: zoomed || whole };
  }

  // ---- the price chart

  const phone = () => window.innerWidth < 600;
  const line = (name, values, colour, more) => ({ kind: "line", name, values, colour, ...more });

  function pricePanes(values, unit) {
    const shown = (name) => state.show.includes(name);
    const overlays = [];
    if (shown("avg90")) overlays.push(line("avg90", values.avg_price_90d, AVERAGES.avg90, { width: 1.5 }));
    if (shown("avg5")) overlays.push(line("avg5", values.rolling_avg_5d, AVERAGES.avg5, { width: 1.5, dash: "5 3" }));
    const main = state.type === "candles" ? { kind: "candles", ...values } : line("close", values.close, "var(--main)", { area: true });
    const panes = [
      { title: `USD, ${state.price === "adjusted" ? "split-adjusted" : "as traded"}${unit === "session" ? "" : `, by ${unit}`}`,
        height: phone() ? 230 : 340, series: [main, ...overlays], log: state.scale === "log", format: axis,
        last: lastValue(values.close.filter(isNumber)), needs: "No bar in this time range." },
      { title: "Volume, shares", height: 70, zero: true, format: shares, needs: "No volume in this time range.", series: [
        { kind: "bars", values: values.volume, colourOf: (i) => unit === "session" && values.volume_surge_ratio[i] >= 2 ? "var(--second)" : "var(--soft)" }] },
    ];
    if (shown("volatility")) panes.push({ title: `Volatility, % a day: ${unit === "session" ? "sessions" : `mean of each ${unit}`} and 21 sessions`, height: 80, zero: true, format: axis,
      needs: "Volatility needs one session.",
      series: [{ kind: "dots", values: values.volatility_pct, colour: "var(--soft)" }, line("volatility21", values.volatility_21d_pct, "var(--second)")] });
    if (shown("return")) panes.push({ title: `${unit === "session" ? "Daily return" : `Return of each ${unit}`}, USD: close − open`, height: 80, zero: true, format: axis,
      needs: "Returns need one session.",
      series: [{ kind: "bars", values: values.daily_return, colourOf: (i) => `var(--${values.daily_return[i] >= 0 ? "up" : "down"})` }] });
    return panes;
  }

  function comparedPanes(slots) {
    const rebased = shownSymbols().map((symbol) => {
      const { close } = valuesOf(symbol, slots, "adjusted");
      const base = close.find(isNumber);
      return close.map((value) => isNumber(value) ? value / base * 100 : null);
    });
    return [{ title: "Closes, split-adjusted; the first one shown is 100", height: phone() ? 260 : 420, format: axis, log: state.scale === "log",
      series: rebased.map((values, n) => line(shownSymbols()[n], values, COLOURS[n], { tag: shownSymbols()[n] })), needs: "No bar in this time range." }];
  }

  const item = (name, text, kind = "", colour = "") => {
    const made = document.createElement("span");
    const value = document.createElement("b");
    value.textContent = text;
    value.className = kind;
    made.append(`${name} `, value);
    if (colour) {
      made.className = "key";
      made.style.setProperty("--colour", colour);
    }
    return made;
  };

  function readPrices(slots, values, unit, i) {
    const before = values.close.slice(0, i).filter(isNumber).pop();
    const close = values.close[i], day = days[slots[i][1]];
    const title = item(unit === "session" ? "" : `${unit} to`, day);
    if (!isNumber(close)) return [title, item("", "no bar")];
    const items = ["open", "high", "low", "close"].map((name) => item(name, price(values[name][i])));
    if (isNumber(before) && i > 0) items.push(item("", signed((close / before - 1) * 100), direction(close - before)));
    items.push(item("volume", shares(values.volume[i])));
    const more = { volume_surge_ratio: ["×usual", two], avg_price_90d: ["90-day", two], rolling_avg_5d: ["5-day", two],
      volatility_pct: ["volatility %", two] };
    const wanted = { avg_price_90d: "avg90", rolling_avg_5d: "avg5", volatility_pct: "volatility" };
    for (const [name, [words, format]] of Object.entries(more)) {
      const on = name in wanted ? state.show.includes(wanted[name]) : unit === "session";
      if (on && isNumber(values[name][i])) items.push(item(words, format.format(values[name][i]), "", AVERAGES[wanted[name]]));
    }
    return [title, ...items];
  }

  function readCompared(slots, pane, unit, i) {
    const items = pane.series.map((one) => item(one.name, isNumber(one.values[i]) ? two.format(one.values[i]) : "–", "", one.colour));
    return [item(unit === "session" ? "" : `${unit} to`, days[slots[i][1]]), ...items];
  }

  function drawPrices() {
    const { available, range, ends } = span();
    const comparing = state.compare.length > 0;
    const { slots, unit } = slotsOf(ends, state.type === "candles" && !comparing ? CANDLE_WIDTH : LINE_WIDTH, Chart.room(find("price")));
    const values = valuesOf(state.symbol, slots, state.price);
    const panes = comparing ? comparedPanes(slots) : pricePanes(values, unit);
    const own = data.series[state.symbol];
    const isMissing = ([from, to], i) => from === to && values.close[i] === null && from >= own.first && from <= lastOf(state.symbol);
    const missing = slots.map((slot, i) => isMissing(slot, i) ? i : -1).filter((i) => i >= 0);
    const splits = comparing ? [] : Object.entries(data.splits[state.symbol])
      .map(([day, text]) => [slots.findIndex(([from, to]) => days[from] <= day && day <= days[to]), text]).filter(([i]) => i >= 0);
    const slotDays = slots.map(([, to]) => days[to]);
    const read = (i) => comparing ? readCompared(slots, panes[0], unit, i) : readPrices(slots, values, unit, i);
    const newest = Math.max(0, values.close.findLastIndex(isNumber));
    Chart.draw(find("price"), {
      label: describe(values, slotDays, unit), days: slotDays, panes, splits, missing: comparing ? [] : missing,
      onPoint: (i) => find("readout").replaceChildren(...read(i === null ? newest : i)),
      onZoom: (from, to) => { if (to > from) change({ from: days[slots[from][0]], to: days[slots[to][1]] }); },
    });
    find("readout").replaceChildren(...read(newest));
    drawMarket(ends);
    find("note").textContent = note(slots, unit, missing.length);
    fillTable(slots, values, comparing ? panes[0].series : null, unit);
    return { available, range };
  }

  function note(slots, unit, missing) {
    const sessions = [];
    for (let i = slots[0][0]; i <= lastValue(slots)[1]; i += 1) sessions.push([i, i]);
    const closes = valuesOf(state.symbol, sessions, "adjusted").close.filter(isNumber);
    const change = closes.length > 1 ? ` ${signed((lastValue(closes) / closes[0] - 1) * 100)} in this time.` : "";
    const gaps = missing ? ` ${missing} without a bar (×).` : "";
    return `${state.symbol}, ${days[slots[0][0]]} to ${days[lastValue(slots)[1]]}: ${count(slots.length, unit)}.${change}${gaps}`;
  }

  function describe(values, slotDays, unit) {
    const closes = values.close.filter(isNumber);
    if (!closes.length) return `Price of ${state.symbol}: no bar in this time range.`;
    return `Price of ${state.symbol} by ${unit}, ${slotDays[0]} to ${lastValue(slotDays)}: closes from ${price(Math.min(...closes))} to ` +
      `${price(Math.max(...closes))} USD, the last ${price(lastValue(closes))}. Arrow keys show the values of one ${unit}.`;
  }

  // ---- values as a table, and files

  function tableRows(slots, values, compared, unit) {
    // The names say what a row is: a session, or a group of sessions up to a day.
    const [day, change] = unit === "session" ? ["trade_date", "daily_return"] : [`${unit}_to`, `return_of_the_${unit}`];
    const columns = compared ? compared.map((one) => [one.name, one.values])
      : ["open", "high", "low", "close", "volume", "avg_price_90d", "rolling_avg_5d", "daily_return", "volatility_pct"]
        .map((name) => [name === "daily_return" ? change : name, values[name]]);
    return { columns: [day, ...columns.map(([name]) => name)],
      rows: slots.map(([, to], i) => [days[to], ...columns.map(([, list]) => list[i])]) };
  }

  function fillTable(slots, values, compared, unit) {
    const { columns, rows } = tableRows(slots, values, compared, unit);
    const table = document.createElement("table");
    const heading = (column) => column.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
    const latest = rows.length > TABLE_ROWS ? `The latest ${TABLE_ROWS} of ` : "";
    table.createCaption().textContent = `${latest}${count(rows.length, unit)}.`;
    const head = table.createTHead().insertRow();
    for (const [n, column] of columns.entries()) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = n ? "number" : "";
      cell.textContent = compared && n ? column : heading(column);
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows.slice(-TABLE_ROWS).reverse()) {
      const line = body.insertRow();
      row.forEach((value, n) => {
        const cell = line.insertCell();
        cell.className = n ? "number" : "";
        cell.textContent = value === null ? "–" : n ? (columns[n] === "volume" ? whole.format(value) : price(value)) : value;
      });
    }
    find("values").replaceChildren(table);
    const name = unit === "session" ? state.symbol : `${state.symbol}_by_${unit}`;
    find("save-prices").onclick = () => Tables.save(`${name}.csv`, [columns, ...rows]);
  }

  // ---- charts of all symbols

  // Complete coverage is a line, and each session or group with less is a bar that stands out.
  const MARKET = {
    market_breadth: (values) => [{ kind: "bars", values, colourOf: () => "var(--main)" }],
    coverage: (values) => [line("coverage", values, "var(--main)", { area: true }),
      { kind: "bars", values: values.map((value) => value < 100 ? value : null), solid: true, colourOf: () => "var(--second)" }],
  };

  function drawMarket(ends) {
    for (const [name, byDay] of Object.entries(data.market)) {
      const { slots, unit } = slotsOf(ends, name === "coverage" ? LINE_WIDTH : CANDLE_WIDTH, Chart.room(find(name)));
      const values = slots.map(([from, to]) => {
        const list = days.slice(from, to + 1).map((day) => byDay[day]).filter(isNumber);
        return list.length ? (name === "coverage" ? Math.min(...list) : mean(list)) : null;
      });
      const kind = unit === "session" ? "" : name === "coverage" ? `, lowest of each ${unit}` : `, mean of each ${unit}`;
      const read = (i) => find(`${name}-readout`).replaceChildren(item(unit === "session" ? "" : `${unit} to`, days[slots[i][1]]),
        item("", isNumber(values[i]) ? `${two.format(values[i])} %` : "no bar"));
      Chart.draw(find(name), {
        label: `${name === "coverage" ? "Coverage" : "Market breadth"} in percent, ${days[ends[0]]} to ${days[ends[1]]}, by ${unit}.`,
        days: slots.map(([, to]) => days[to]), onPoint: (i) => read(i === null ? slots.length - 1 : i),
        panes: [{ title: `%${kind}`, height: 130, domain: [0, 100], format: axis, needs: "No bar in this time range.",
          series: MARKET[name](values) }],
      });
      read(slots.length - 1);
    }
  }

  // ---- head and controls

  function fillHead() {
    const own = data.series[state.symbol], board = data.board[state.symbol], last = lastOf(state.symbol);
    const name = data.names[state.symbol];
    find("name").textContent = name ? `${state.symbol} · ${name}` : state.symbol;
    find("last").textContent = `${price(own.close[own.close.length - 1])} USD`;
    const change = board.price_change_pct;
    find("change").textContent = isNumber(change) ? `${change > 0 ? "▲ " : change < 0 ? "▼ " : ""}${signed(change)}` : "";
    find("change").className = isNumber(change) ? direction(change) : "";
    find("when").textContent = `at the close of ${days[last]}${board.is_latest ? "" : ", not the latest session"}`;
    const returns = { "1W": "return_1w_pct", "1M": "return_1m_pct", YTD: "return_ytd_pct", "1Y": "return_1y_pct" };
    find("returns").replaceChildren(...Object.entries(returns).map(([title, column]) => {
      const cell = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = title;
      value.textContent = isNumber(board[column]) ? signed(board[column]) : "–";
      value.className = direction(board[column] ?? 0);
      cell.append(term, value);
      return cell;
    }));
    document.title = `${state.symbol} ${price(own.close[own.close.length - 1])} · Daily stock prices`;
  }

  function fillControls({ available, range }) {
    symbolBox.value = state.symbol;
    for (const name of ["type", "scale", "price"]) form.elements[name].value = state[name];
    for (const box of form.querySelectorAll("[name=show]")) box.checked = state.show.includes(box.value);
    for (const box of form.querySelectorAll("[name=range]")) {
      box.checked = box.value === range && !state.from;
      box.disabled = !available.includes(box.value);
      box.parentElement.title = box.disabled ? "The history is shorter." : "";
    }
    // A comparison has lines of rebased closes: these choices do not apply.
    for (const box of form.querySelectorAll("[name=type], [name=price], [name=show]")) box.disabled = state.compare.length > 0;
    find("unzoom").hidden = !state.from;
    const others = Object.keys(data.series).sort().filter((name) => !shownSymbols().includes(name));
    const add = find("add");
    add.replaceChildren(new Option("Add a symbol", ""), ...others.map((name) => new Option(name, name)));
    add.disabled = !others.length || state.compare.length >= COLOURS.length - 1;
    find("compared").replaceChildren(...state.compare.map((name, n) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "key";
      button.style.setProperty("--colour", COLOURS[n + 1]);
      button.textContent = `${name} ×`;
      button.setAttribute("aria-label", `Remove ${name} from the comparison`);
      button.onclick = () => change({ compare: state.compare.filter((other) => other !== name) });
      return button;
    }));
  }

  function draw() {
    const shown = drawPrices();
    fillHead();
    fillControls(shown);
    document.body.dataset.drawn = `${state.symbol} ${state.from ? "zoom" : shown.range}`;
  }

  function change(changed) {
    Object.assign(state, changed);
    if (changed.symbol) state.compare = state.compare.filter((name) => name !== changed.symbol);
    writeAddress();
    draw();
  }

  // A printed page has charts of its own width, and shows the missing and quarantined bars.
  function listenToPrinting() {
    let opened = [];
    window.addEventListener("beforeprint", () => {
      document.body.classList.add("printing");
      opened = [...document.querySelectorAll("#quality details.print:not([open])")];
      for (const one of opened) one.open = true;
      draw();
    });
    window.addEventListener("afterprint", () => {
      document.body.classList.remove("printing");
      for (const one of opened) one.open = false;
      draw();
    });
  }

  function listen() {
    find("ranges").append(...Object.entries(RANGES).map(([value, [, title]]) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "radio", name: "range", value });
      const text = document.createElement("span");
      text.textContent = title;
      label.append(box, text);
      return label;
    }));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", ({ target }) => {
      if (target.id === "add") return target.value && change({ compare: [...state.compare, target.value] });
      if (target.name === "show") return change({ show: [...form.querySelectorAll("[name=show]:checked")].map((box) => box.value) });
      return change(target.name === "range" ? { range: target.value, from: "", to: "" } : { [target.name]: target.value });
    });
    symbolBox.addEventListener("change", () => change({ symbol: symbolBox.value }));
    find("unzoom").addEventListener("click", () => change({ from: "", to: "" }));
    find("price").addEventListener("dblclick", () => change({ from: "", to: "" }));
    window.addEventListener("hashchange", () => { readAddress(); draw(); });
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-symbol]");
      if (!button) return;
      change({ symbol: button.dataset.symbol });
      find("one").scrollIntoView();
      symbolBox.focus({ preventScroll: true });
    });
    let width = find("price").clientWidth;
    new ResizeObserver(() => {
      if (find("price").clientWidth === width) return;
      width = find("price").clientWidth;
      draw();
    }).observe(find("price"));
  }

  find("one").hidden = find("market").hidden = false;
  listen();
  listenToPrinting();
  readAddress();
  draw();
  Tables.prepareBoard();
  Tables.watch();
  performance.mark("drawn");
  document.body.dataset.ready = "yes";
})();

"use strict";
// Fills the charts with the rows of the selected symbol and time range. All data are in the element `data`.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.daily) return;
  const symbolBox = document.getElementById("symbol");
  const form = document.getElementById("controls");
  const QUARTER = 63;
  const TABLE_ROWS = 60;
  const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 });
  const words = {
    day: "Session", avg_price_90d: "90-day average", close_price: "Close", rolling_avg_5d: "5-day average",
    daily_return: "Daily return",
    volatility_pct: "Volatility, %", volatility_21d_pct: "21 sessions, %", volume: "Shares",
    volume_surge_ratio: "Times the usual", open: "Open", high: "High", low: "Low", close: "Close",
    up_share_pct: "Up, %", coverage_pct: "Coverage, %", price_change_pct: "Change, %", symbol: "Symbol",
  };
  const texts = new Set(["day", "symbol"]);
  const views = new Map();

  const chosenRange = () => form.elements.range.value;

  function rowsOf(symbol, range) {
    const source = range === "all" ? data.weekly : data.daily;
    const own = source.symbols[symbol];
    if (!own) return [];
    const names = Object.keys(own.columns);
    const length = own.columns[names[0]].length;
    const splits = Object.entries(data.splits[symbol] || {});
    const rows = [];
    for (let i = range === "quarter" ? Math.max(0, length - QUARTER) : 0; i < length; i += 1) {
      const day = source.days[own.first + i];
      const before = own.first + i > 0 ? source.days[own.first + i - 1] : null;
      const row = { day, time: Date.parse(day) };
      for (const name of names) row[name] = own.columns[name][i];
      row.missing = row.close_price === null;
      row.gap = row.missing ? "×" : "";
      row.split = splits
        .filter(([at]) => at === day || (before !== null && before < at && at < day))
        .map(([, label]) => label).join(", ");
      rows.push(row);
    }
    return rows;
  }

  function sharedRows(name) {
    if (name === "movers") {
      return data.shared.movers.map(([symbol, price_change_pct]) => ({ symbol, price_change_pct }));
    }
    const field = name === "coverage" ? "coverage_pct" : "up_share_pct";
    return data.shared[name].map(([day, value]) => ({ day, time: Date.parse(day), [field]: value }));
  }

  function describe(name, rows, subject) {
    const panel = data.panels[name];
    const field = panel.columns.find((column) => column !== "time" && rows.some((row) => typeof row[column] === "number"));
    const values = rows.map((row) => row[field]).filter((value) => typeof value === "number");
    if (!values.length) return `${panel.title}, ${subject}: no values yet.`;
    const low = number.format(values.reduce((a, b) => Math.min(a, b)));
    const high = number.format(values.reduce((a, b) => Math.max(a, b)));
    const time = rows[0].day ? `, ${rows[0].day} to ${rows[rows.length - 1].day}` : "";
    return `${panel.title}, ${subject}${time}: ${values.length} values from ${low} to ${high}, ` +
      `the last ${number.format(values[values.length - 1])} (${panel.unit}).`;
  }

  function fillTable(figure, name, rows) {
    const columns = ["day", ...data.panels[name].columns].filter((column) => words[column] && rows.length &&
      column in rows[0] && !(column === "symbol" && "day" in rows[0]));
    const table = document.createElement("table");
    const caption = table.createCaption();
    caption.textContent = rows.length > TABLE_ROWS ? `The latest ${TABLE_ROWS} of ${rows.length}.` : `${rows.length} ${rows.length === 1 ? "row" : "rows"}.`;
    const head = table.createTHead().insertRow();
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = words[column];
      if (!texts.has(column)) cell.className = "number";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of [...rows].reverse().slice(0, TABLE_ROWS)) {
      const line = body.insertRow();
      for (const column of columns) {
        const cell = line.insertCell();
        const value = row[column];
        cell.textContent = value === null ? (row.missing ? "no bar" : "–") :
          typeof value === "number" ? number.format(value) : value;
        if (!texts.has(column)) cell.className = "number";
      }
    }
    figure.querySelector("details .scroll").replaceChildren(table);
  }

  async function show(name, rows, subject) {
    const figure = document.getElementById(name);
    const holder = figure.querySelector(".chart");
    figure.querySelector(".of").textContent = subject;
    holder.setAttribute("aria-label", describe(name, rows, subject));
    holder.removeAttribute("aria-labelledby");
    fillTable(figure, name, rows);
    const view = views.get(name);
    if (view) {
      if (view.bars) view.signal("bars", rows.length);
      view.data("rows", rows);
      await view.runAsync();
      return;
    }
    const spec = data.charts[name];
    const bars = (spec.params || []).some((param) => param.name === "bars");
    spec.datasets = { rows };
    if (bars) spec.params = spec.params.map((param) => param.name === "bars" ? { ...param, value: rows.length } : param);
    // Vega sets the name of the element that it draws into; the name set above belongs to the element around it.
    const inside = document.createElement("div");
    holder.append(inside);
    const made = (await vegaEmbed(inside, spec, { renderer: "svg", actions: false })).view;
    made.bars = bars;
    views.set(name, made);
  }

  async function drawSymbol() {
    const symbol = symbolBox.value;
    const range = chosenRange();
    const rows = rowsOf(symbol, range);
    const missing = rows.filter((row) => row.missing).length;
    document.getElementById("charts-title").textContent = symbol;
    document.getElementById("note").textContent = rows.length
      ? `${symbol}, ${rows[0].day} to ${rows[rows.length - 1].day}: ${rows.length} ` +
        `${range === "all" ? "weeks" : "sessions"}${missing ? `, ${missing} without a bar (×)` : ", none missing"}.` +
        `${range === "all" ? " Each week has its first open, highest high, lowest low, last close and total volume. Its daily return is " +
          "close minus open of the week, its volatility is that of all its sessions, its surge ratio the largest of " +
          "its sessions." : ""}`
      : `${symbol} has no bar in this time range.`;
    for (const name of ["average_price", "close_and_average", "daily_return", "volatility", "volume", "candlesticks"]) {
      await show(name, rows, range === "all" ? `${symbol}, by week` : symbol);
    }
    document.body.dataset.drawn = `${symbol} ${range}`;
  }

  async function start() {
    if (data.weekly.days.length < 60) form.querySelector("[value=all]").parentElement.hidden = true;
    await drawSymbol();
    for (const name of ["market_breadth", "movers", "coverage"]) await show(name, sharedRows(name), "all symbols");
    performance.mark("drawn");
    document.body.dataset.ready = "yes";
  }

  form.addEventListener("change", drawSymbol);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-symbol]");
    if (!button) return;
    symbolBox.value = button.dataset.symbol;
    drawSymbol();
    document.getElementById("charts").scrollIntoView();
    symbolBox.focus({ preventScroll: true });
  });
  start();
})();

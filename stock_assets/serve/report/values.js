"use strict";
// Computes what the charts show: the sessions of a range, sessions grouped into weeks, months or quarters, and their
// split-adjusted values.
// Belongs here: numbers from the data of the page. Does not belong here: state and controls (`page.js`), drawing
// (`chart.js`).
const Values = (data) => {
  const { days } = data;

  // ---- sessions and ranges

  const lastOf = (symbol) => data.series[symbol].first + data.series[symbol].close.length - 1;

  function monthsBefore(day, months) {
    const [year, month, date] = day.split("-").map(Number);
    const latest = new Date(Date.UTC(year, month - months, 0)).getUTCDate();
    return new Date(Date.UTC(year, month - 1 - months, Math.min(date, latest))).toISOString().slice(0, 10);
  }

  // A range begins at the close from which its return is computed: the last one on or before the day in question.
  function startOf(months, last) {
    if (months === null) return null;
    const target = months ? monthsBefore(days[last], months) : `${Number(days[last].slice(0, 4)) - 1}-12-31`;
    let start = -1;
    while (start + 1 < days.length && days[start + 1] <= target) start += 1;
    return start;
  }

  // Weeks or months, where sessions would be too narrow to see.
  function slotsOf([first, last], narrowest, room) {
    const units = ["session", "week", "month", "quarter"];
    const keys = [(day) => day, Chart.week, (day) => day.slice(0, 7), Chart.quarter];
    for (const [level, key] of keys.entries()) {
      const slots = [];
      for (let i = first; i <= last; i += 1) {
        if (i > first && key(days[i]) === key(days[i - 1])) slots[slots.length - 1][1] = i;
        else slots.push([i, i]);
      }
      if (room / slots.length >= narrowest || level === keys.length - 1) return { slots, unit: units[level] };
    }
  }

  // ---- values of the slots

  const isNumber = (value) => value !== null && value !== undefined;
  const rootMeanSquare = (list) => Math.sqrt(list.reduce((sum, value) => sum + value * value, 0) / list.length);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const lastValue = (list) => list[list.length - 1];
  const GROUPED = {
    open: (list) => list[0], high: (list) => Math.max(...list), low: (list) => Math.min(...list), close: lastValue,
    volume: (list) => list.reduce((sum, value) => sum + value, 0), volume_surge_ratio: (list) => Math.max(...list),
    avg_price_90d: lastValue, rolling_avg_5d: lastValue, volatility_21d_pct: lastValue, volatility_pct: rootMeanSquare,
  };
  // How the split adjustment of the row changes a stored value: prices are stored as traded, metrics split-adjusted.
  const ADJUSTED = { open: 1, high: 1, low: 1, close: 1, volume: -1 };
  const TRADED = { avg_price_90d: -1, rolling_avg_5d: -1, daily_return: -1 };

  function valuesOf(symbol, slots, prices) {
    const own = data.series[symbol], powers = prices === "adjusted" ? ADJUSTED : TRADED;
    const value = (name, i) => {
      const stored = own[name][i - own.first];
      return isNumber(stored) && powers[name] ? stored * own.adjustment[i - own.first] ** powers[name] : stored ?? null;
    };
    const made = {};
    for (const [name, reduce] of Object.entries(GROUPED)) {
      made[name] = slots.map(([from, to]) => {
        if (from === to) return value(name, from);
        const list = [];
        for (let i = from; i <= to; i += 1) if (isNumber(value(name, i))) list.push(value(name, i));
        return list.length ? reduce(list) : null;
      });
    }
    made.daily_return = slots.map(([from, to], i) => from === to ? value("daily_return", from)
      : isNumber(made.close[i]) ? made.close[i] - made.open[i] : null);
    return made;
  }

  return { isNumber, mean, lastValue, lastOf, startOf, slotsOf, valuesOf };
};

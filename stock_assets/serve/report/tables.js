"use strict";
// The page without its charts: sorting and searching the board, files to download, updates of a served page.
// Belongs here: what works on finished tables. Does not belong here: charts and their controls (`page.js`).
const Tables = (() => {
  const find = (id) => document.getElementById(id);

  function save(name, rows) {
    const text = (value) => value === null ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.map((row) => `${row.map(text).join(",")}\n`).join("")], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- the board: sorting, searching, CSV

  function prepareBoard() {
    const table = document.querySelector(".board table"), body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const cell = (row, n) => row.cells[n].dataset.value;
    heads.forEach((head, n) => {
      if (!head.dataset.column) return;
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.onclick = () => {
        const numeric = head.classList.contains("number");
        const up = head.ariaSort ? head.ariaSort === "descending" : !numeric;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const compare = (a, b) => numeric ? a - b : a.localeCompare(b);
        // A row without a value is last in both directions.
        body.append(...[...body.rows].sort((one, other) => {
          const a = cell(one, n), b = cell(other, n);
          return a === "" || b === "" ? (a === "") - (b === "") : (up ? 1 : -1) * compare(a, b);
        }));
      };
    });
    heads[0].setAttribute("aria-sort", "ascending");
    find("search").addEventListener("input", ({ target }) => {
      const wanted = target.value.trim().toLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      find("found").textContent = wanted ? `${shown} of ${body.rows.length} symbols` : "";
    });
    const columns = heads.map((head, n) => [head.dataset.column, n]).filter(([name]) => name);
    find("save-board").onclick = () => save("board.csv", [columns.map(([name]) => name),
      ...[...body.rows].filter((row) => !row.hidden).map((row) => columns.map(([, n]) => cell(row, n)))]);
    document.querySelector(".tools").hidden = false;
  }

  // ---- a page that a server sends: load it again when other rows are published

  function watch() {
    const { version } = document.body.dataset;
    if (!version) return;
    const live = find("live");
    live.textContent = "Updates when rows are published.";
    setInterval(async () => {
      try {
        const newest = await (await fetch("version", { cache: "no-store" })).text();
        if (newest !== version) location.reload();
        live.textContent = "Updates when rows are published.";
      } catch {
        live.textContent = "No updates: `stock-assets ui` has ended.";
      }
    }, 3000);
  }

  return { prepareBoard, save, watch };
})();

"use strict";
// Tables: sorted by their headings, filtered by words. Without this script they are plain tables in the order of the files.
(() => {
  const LONG = 12; // rows; shorter tables have no filter
  const collator = new Intl.Collator("en", { numeric: true });

  function sortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: null }[heading.ariaSort] ?? null;
        const direction = heading.ariaSort ? next : "ascending";
        for (const other of headings) other.removeAttribute("aria-sort");
        if (direction) heading.setAttribute("aria-sort", direction);
        body.append(...(direction ? sorted(original, column, heading.classList.contains("n"), direction) : original));
      });
    });
  }

  // Rows of equal values stay in the file's order; empty cells stand last whichever way.
  function sorted(rows, column, numeric, direction) {
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = rows.map((row) => {
      const text = row.cells[column].textContent;
      return { row, empty: text === "", key: numeric ? Number(text.replaceAll(",", "")) : text };
    });
    const compare = numeric ? (a, b) => a - b : collator.compare;
    keyed.sort((a, b) => a.empty - b.empty || (a.empty ? 0 : sign * compare(a.key, b.key)));
    return keyed.map(({ row }) => row);
  }

  function filtered(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length <= LONG) return;
    const box = document.createElement("input");
    const count = document.createElement("output");
    box.type = "search";
    box.placeholder = "Filter rows by words";
    box.setAttribute("aria-label", "Filter rows by words");
    const line = document.createElement("div");
    line.className = "filter";
    line.append(box, count);
    table.closest(".scroll").before(line);
    let texts;
    const show = () => {
      texts ??= rows.map((row) => [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\n"));
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, place) => {
        row.hidden = !words.every((word) => texts[place].includes(word));
        shown += !row.hidden;
      });
      count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    };
    box.addEventListener("input", show);
    count.textContent = `${rows.length.toLocaleString("en")} rows`;
  }

  // On a phone the contents fill the first screen, where the answers belong.
  if (matchMedia("(max-width: 40rem)").matches) document.getElementById("contents").open = false;

  for (const table of document.querySelectorAll("table.data")) {
    sortable(table);
    filtered(table);
  }
})();

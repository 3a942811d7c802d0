"use strict";
// A column's heading becomes a button: ascending, descending, and as it was. What has no value stays last.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  const asWritten = Array.from(body.rows);
  const headings = Array.from(table.tHead.rows[0].cells);
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    return headings[column].classList.contains("number") ? (text === "" ? null : Number(text)) : text;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const sort = (column, order) => {
    const valued = asWritten.map((row) => [valueOf(row, column), row]);
    const known = valued.filter(([value]) => value !== null);
    if (order !== null) {
      known.sort(([a], [b]) => (order === "ascending" ? compare(a, b) : compare(b, a)));
    }
    const rows = order === null ? asWritten : [...known, ...valued.filter(([value]) => value === null)].map(([, row]) => row);
    body.append(...rows);
    headings.forEach((heading, place) => {
      if (place === column && order !== null) {
        heading.setAttribute("aria-sort", order);
      } else {
        heading.removeAttribute("aria-sort");
      }
    });
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.firstElementChild.childNodes);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null };
      const now = heading.getAttribute("aria-sort");
      sort(column, now === null ? "ascending" : next[now]);
    });
  });
}

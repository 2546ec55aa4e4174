"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const compare = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

  // Rows below a device stay with it: a family is sorted as one.
  const families = (body) => {
    const found = new Map();
    for (const row of Array.from(body.rows)) {
      const head = row.dataset.head || row;
      if (!found.has(head)) found.set(head, []);
      found.get(head).push(row);
    }
    return Array.from(found.values());
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    if (cell.dataset.v !== undefined) return cell.dataset.v;
    const shown = Array.from(cell.childNodes).filter((node) => node.nodeName !== "DETAILS");
    return shown.map((node) => node.textContent).join(" ").trim();
  };

  const sort = (table, header, column) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    all("th[aria-sort]", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const sorted = families(body).map((rows, place) => ({ rows, place, key: key(rows[0], column) }));
    sorted.sort((a, b) => (down ? -1 : 1) * compare(a.key, b.key) || a.place - b.place);
    for (const family of sorted) body.append(...family.rows);
  };

  for (const table of all("table.sortable")) {
    all("th", table.tHead).forEach((header, column) => {
      if (header.dataset.sort === undefined) return;
      // Not a <button>: browsers leave those out where a heading is repeated on paper.
      const button = document.createElement("span");
      button.setAttribute("role", "button");
      button.tabIndex = 0;
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => sort(table, header, column));
      button.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        sort(table, header, column);
      });
    });
  }

  for (const tools of all(".tools")) {
    const body = document.getElementById(tools.dataset.for).tBodies[0];
    const rows = Array.from(body.rows).filter((row) => row.dataset.of === undefined);
    const below = new Map(all("tr[data-of]", body).map((row) => [row.dataset.of, row]));
    const text = (row) => `${row.textContent} ${below.get(row.id)?.textContent ?? ""}`;
    const filters = all("[data-filter]", tools);
    const output = tools.querySelector("output");
    for (const select of filters.filter((filter) => filter.nodeName === "SELECT")) {
      const values = new Set(rows.map((row) => row.dataset[select.dataset.filter] || ""));
      for (const value of Array.from(values).sort(compare)) {
        if (value === "") continue;
        const option = document.createElement("option");
        option.value = value;
        option.textContent = value;
        select.append(option);
      }
    }
    const apply = () => {
      const wanted = rows.map((row) =>
        filters.every((filter) => {
          const value = filter.value;
          if (value === "") return true;
          if (filter.dataset.filter === "text") {
            return text(row).toLowerCase().includes(value.toLowerCase());
          }
          return row.dataset[filter.dataset.filter] === value;
        }),
      );
      // A device stays in sight with what was found behind it.
      const heads = new Set(rows.filter((_, n) => wanted[n]).map((row) => row.dataset.head));
      rows.forEach((row, n) => {
        const isHead = row.dataset.head !== undefined && row.dataset.head === row.id;
        row.hidden = !(wanted[n] || (isHead && heads.has(row.id)));
        if (below.has(row.id)) below.get(row.id).hidden = row.hidden;
      });
      output.textContent = `${wanted.filter(Boolean).length} of ${rows.length}`;
    };
    for (const filter of filters) filter.addEventListener("input", apply);
    tools.querySelector("[data-clear]").addEventListener("click", () => {
      for (const filter of filters) filter.value = "";
      apply();
    });
    tools.hidden = false;
    apply();
  }

  // A link to something folded away opens what folds it.
  const reveal = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const target = name ? document.getElementById(name) : null;
    if (!target) return;
    target.hidden = false;
    for (let node = target; node; node = node.parentElement) {
      if (node.nodeName === "DETAILS") node.open = true;
    }
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  // Bytes open in place, below the finding that rests on them.
  for (const link of all("a[data-evidence]")) {
    const target = document.getElementById(link.getAttribute("href").slice(1));
    if (!target) continue;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const holder = link.closest("details");
      const before = holder.querySelector(":scope > .inline");
      const again = before && before.dataset.of === target.id;
      if (before) before.remove();
      link.closest("p").querySelectorAll("[aria-expanded]").forEach((other) => {
        other.setAttribute("aria-expanded", "false");
      });
      if (again) return;
      const copy = document.createElement("div");
      copy.className = "inline";
      copy.dataset.of = target.id;
      const inside = target.nodeName === "DETAILS" ? target.children : [target];
      copy.append(...Array.from(inside, (child) => child.cloneNode(true)));
      const heading = copy.querySelector(":scope > summary");
      if (heading) {
        const plain = document.createElement("p");
        plain.append(...heading.childNodes);
        heading.replaceWith(plain);
      }
      all("[id]", copy).forEach((node) => node.removeAttribute("id"));
      holder.append(copy);
      link.setAttribute("aria-expanded", "true");
    });
    link.setAttribute("aria-expanded", "false");
  }
  for (const finding of all("#findings details.one")) {
    finding.querySelector("summary").addEventListener("click", () => {
      const first = finding.querySelector("a[data-evidence]");
      if (first && !finding.open && !finding.querySelector(":scope > .inline")) first.click();
    });
  }

  // On paper nothing is folded away.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const node of folded) node.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const node of folded) node.open = false;
  });
})();

"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (query, within) => [...(within || document).querySelectorAll(query)];
const make = (name, parent, content) => {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  if (parent) parent.append(made);
  return made;
};
let unit = "short";

// Numbers as archstat writes them, exactly, or with decimal bytes.
function scaled(number, names, base) {
  let power = Math.min(names.length - 1, Math.max(0, Math.floor(Math.log(Math.abs(number) * 1.000005) / Math.log(base))));
  if (!number || power < 0) power = 0;
  return power ? (number / base ** power).toFixed(2) + " " + names[power] : +number.toFixed(3) + (names[0] ? " " + names[0] : "");
}
function shown(cell, kind) {
  if (cell === null || cell === undefined) return "-";
  if (Array.isArray(cell)) return cell.every((n) => n === null) ? "global" : cell.map((n) => (n === null ? "-" : n)).join("x");
  if (typeof cell === "string") return cell;
  if (kind === "share") return cell && Math.abs(cell) < 0.0005 ? "<0.1%" : (100 * cell).toFixed(1) + "%";
  if (kind === "ratio") return cell.toPrecision(4) + "x";
  if (unit === "exact" || kind === "number" || kind === "pixels") return unit === "exact" || Number.isInteger(cell) ? cell.toLocaleString("en") : "" + +cell.toPrecision(4);
  if (kind === "bytes") return unit === "decimal" ? scaled(cell, ["B", "kB", "MB", "GB", "TB"], 1000) : scaled(cell, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
  if (kind === "count") return scaled(cell, ["", "k", "M", "G", "T"], 1000);
  if (kind === "ms") return cell >= 1000 ? (cell / 1000).toFixed(2) + " s" : cell >= 1 ? cell.toFixed(2) + " ms" : (cell * 1000).toFixed(2) + " us";
  return "" + cell;
}

// A box beside the pointer with a row of the data.
const tip = document.getElementById("tip");
function tell(rows, x, y) {
  tip.replaceChildren();
  for (const [name, n] of rows) {
    const table = data[name], row = table && table.rows[n];
    if (!row) continue;
    make("b", tip, row[0] === "" ? "the model" : shown(row[0], "text"));
    const body = make("tbody", make("table", tip));
    table.columns.slice(1).forEach(([key, kind], i) => {
      if (row[i + 1] === null || row[i + 1] === "" || row[i + 1] === 0) return;
      const line = make("tr", body);
      make("td", line, key.replaceAll("_", " "));
      make("td", line, shown(row[i + 1], kind));
    });
  }
  tip.hidden = !tip.firstChild;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (y + 18 + tip.offsetHeight > innerHeight ? Math.max(4, y - tip.offsetHeight - 12) : y + 18) + "px";
}
function at(event) {
  const svg = event.target.closest("svg");
  all(".cursor").forEach((one) => one.remove());
  if (!svg) return (tip.hidden = true);
  const owner = event.target.closest("[data-t]");
  if (owner && event.target.dataset.n) return tell([[owner.dataset.t, +event.target.dataset.n]], event.clientX, event.clientY);
  if (!svg.dataset.lines) return (tip.hidden = true);
  const box = svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * 540;
  const part = (x - 62) / 466;
  if (part < 0 || part > 1) return (tip.hidden = true);
  const places = svg.dataset.places.split(" ");
  const rows = svg.dataset.lines.split(" ").map((name, i) => [name, Math.round(part * (places[i] - 1))]);
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
  cursor.setAttribute("d", "M" + x + " 22V262");
  cursor.setAttribute("class", "cursor");
  svg.append(cursor);
  tell(rows, event.clientX, event.clientY);
}
document.addEventListener("pointermove", at);
document.addEventListener("pointerdown", at);
document.addEventListener("scroll", () => (tip.hidden = true), true);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
document.addEventListener("focusin", (event) => {
  const owner = event.target.closest("svg [data-t]");
  if (!owner) return (tip.hidden = true);
  const box = event.target.getBoundingClientRect();
  tell([[owner.dataset.t, +event.target.dataset.n]], box.left, box.bottom);
});

// Save the data behind a chart.
const quoted = (cell) => {
  const text = cell === null ? "" : Array.isArray(cell) ? cell.map((n) => (n === null ? "-" : n)).join("x") : "" + cell;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
};
all("[data-csv]").forEach((button) => button.addEventListener("click", () => {
  const table = data[button.dataset.csv];
  const lines = [table.columns.map((column) => column[0]), ...table.rows].map((row) => row.map(quoted).join(","));
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = button.dataset.csv.replaceAll(/[^\w.-]+/g, "_") + ".csv";
  link.click();
  URL.revokeObjectURL(link.href);
}));

// Tables: sort by a head, fold below a row, search, another unit.
function order(table, button) {
  const { rows } = data[table.dataset.t], place = +button.dataset.c, head = button.closest("th");
  const next = { none: "descending", descending: "ascending", ascending: "none" }[head.ariaSort || "none"];
  all("th", table).forEach((one) => one.removeAttribute("aria-sort"));
  if (next !== "none") head.ariaSort = next;
  const sign = next === "ascending" ? 1 : -1, value = (tr) => rows[+tr.dataset.n][place];
  const compare = (a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : ("" + x).localeCompare("" + y));
  };
  const sorted = all("tbody tr", table).sort(next === "none" ? (a, b) => a.dataset.n - b.dataset.n : compare);
  table.classList.toggle("flat", next !== "none");
  table.tBodies[0].append(...sorted);
  visible(table);
}
function visible(table) {
  const search = table.search ? table.search.value.toLowerCase() : "", flat = table.classList.contains("flat") || search;
  let closed = Infinity;
  for (const tr of table.tBodies[0].rows) {
    const level = +(tr.dataset.l || 0);
    if (level <= closed) closed = Infinity;
    tr.hidden = flat ? !tr.textContent.toLowerCase().includes(search) : level > closed;
    if (closed === Infinity && tr.dataset.shut) closed = level;
  }
}
function foldable(table) {
  const rows = [...table.tBodies[0].rows];
  rows.forEach((tr, i) => {
    const level = +tr.dataset.l, below = rows[i + 1] && +rows[i + 1].dataset.l > level;
    const first = tr.cells[0], sign = make(below ? "button" : "span");
    first.style.paddingLeft = 8 + 16 * level + "px";
    sign.className = below ? "fold" : "leaf";
    first.prepend(sign);
    if (!below) return;
    const set = (shut) => {
      if (shut) tr.dataset.shut = 1; else delete tr.dataset.shut;
      sign.textContent = shut ? "▸" : "▾";
      sign.ariaExpanded = !shut;
      sign.ariaLabel = shut ? "unfold" : "fold";
    };
    tr.set = set;
    set(rows.length > 60 && level >= 2);
    sign.addEventListener("click", () => { set(!tr.dataset.shut); visible(table); });
  });
}
all("table[data-t]").forEach((table) => {
  const tools = make("div");
  tools.className = "tools";
  all("th button", table).forEach((button) => button.addEventListener("click", () => order(table, button)));
  if (table.classList.contains("tree")) {
    foldable(table);
    for (const [said, shut] of [["unfold all", false], ["fold all", true]]) {
      make("button", tools, said).addEventListener("click", () => {
        all("tr[data-l]", table).forEach((tr) => tr.set && tr.set(shut && +tr.dataset.l > 0));
        visible(table);
      });
    }
  }
  if (table.tBodies[0].rows.length > 8) {
    table.search = make("input", tools);
    table.search.type = "search";
    table.search.placeholder = "search";
    table.search.ariaLabel = "search this table";
    table.search.addEventListener("input", () => visible(table));
  }
  if (tools.firstChild) table.parentNode.before(tools);
  visible(table);
});
function rewrite() {
  all("table[data-t]").forEach((table) => {
    const { columns, rows } = data[table.dataset.t], places = all("th button", table).map((one) => +one.dataset.c);
    for (const tr of table.tBodies[0].rows) {
      places.forEach((place, i) => {
        const cell = tr.cells[i], bound = cell.dataset.b;
        if (["bytes", "count", "ms"].includes(columns[place][1]) && rows[+tr.dataset.n][place] !== null) cell.textContent = (bound || "") + shown(rows[+tr.dataset.n][place], columns[place][1]);
      });
    }
  });
}
const header = document.querySelector("header"), units = make("p", header, "Numbers: ");
units.className = "about tools";
const choice = make("select", units);
choice.ariaLabel = "how numbers are written";
for (const [value, said] of [["short", "rounded, KiB of 1024"], ["decimal", "rounded, kB of 1000"], ["exact", "exact"]]) make("option", choice, said).value = value;
choice.addEventListener("change", () => { unit = choice.value; rewrite(); });

// The scatter of two columns, drawn anew for other axes.
all("svg[data-axes]").forEach((svg) => {
  const table = data[svg.dataset.axes], dots = all("circle", svg), holder = make("div");
  holder.className = "tools";
  const numeric = table.columns.map((column, i) => [column, i]).filter(([, i]) => table.rows.some((row) => typeof row[i] === "number" && row[i] > 0));
  const pick = (said, place) => {
    const select = make("select", make("label", holder, said + " "));
    numeric.forEach(([column, i]) => { make("option", select, column[0]).value = i; });
    select.value = place;
    select.addEventListener("change", draw);
    return select;
  };
  const x = pick("across", svg.dataset.x), y = pick("up", svg.dataset.y);
  svg.parentNode.before(holder);
  const svgElement = (name, attributes, content) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    if (content) one.textContent = content;
    return one;
  };
  function scale(place, start, end) {
    const numbers = table.rows.map((row) => row[place]).filter((n) => n > 0);
    const low = Math.min(...numbers), high = Math.max(...numbers), beyond = Math.max(1.02, (high / low) ** 0.08);
    const least = low / beyond, most = high * beyond, ticks = [];
    const binary = table.columns[place][1] === "bytes" && unit !== "decimal";
    if (binary) for (let n = 2 ** Math.floor(Math.log2(least)); n <= most; n *= 2) ticks.push(n);
    else for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) for (const f of most / least > 300 ? [1] : [1, 2, 5]) ticks.push(f * 10 ** power);
    const put = (n) => start + (Math.log(n / least) / Math.log(most / least)) * (end - start);
    let inside = ticks.filter((n) => n >= least && n <= most);
    if (inside.length < 2) {
      const base = binary ? 1024 ** Math.floor(Math.log2(most) / 10) : 1, wide = (most - least) / 4, size = base * 10 ** Math.floor(Math.log10(wide / base));
      const step = [1, 2, 2.5, 5, 10].map((f) => f * size).find((one) => one >= wide * 0.999);
      inside = [];
      for (let n = Math.ceil(least / step); n * step <= most; n++) inside.push(+(n * step).toPrecision(9));
    }
    return { put, ticks: inside.filter((n, i) => i % Math.ceil(inside.length / 7) === 0) };
  }
  function draw() {
    const across = scale(+x.value, 62, 528), up = scale(+y.value, 262, 22), axes = svg.querySelector(".axes");
    axes.replaceChildren();
    const kinds = [table.columns[+x.value], table.columns[+y.value]];
    for (const n of across.ticks) {
      axes.append(svgElement("line", { x1: across.put(n), x2: across.put(n), y1: 22, y2: 262, class: "grid" }));
      axes.append(svgElement("text", { x: across.put(n), y: 278, class: "mid dim" }, shown(n, kinds[0][1]).replace(".00", "")));
    }
    for (const n of up.ticks) {
      axes.append(svgElement("line", { x1: 62, x2: 528, y1: up.put(n), y2: up.put(n), class: "grid" }));
      axes.append(svgElement("text", { x: 56, y: up.put(n) + 4, class: "end dim" }, shown(n, kinds[1][1]).replace(".00", "")));
    }
    axes.append(svgElement("text", { x: 528, y: 294, class: "end dim" }, kinds[0][0]), svgElement("text", { x: 2, y: 12, class: "dim" }, kinds[1][0]));
    const sign = (place) => (svg.dataset.more.split(" ").includes(place) ? -1 : 1), [a, b] = [+x.value, +y.value];
    let line = "", held = null;
    table.rows.filter((row) => row[a] > 0 && row[b] > 0)
      .sort((one, two) => sign(x.value) * (one[a] - two[a]) || sign(y.value) * (one[b] - two[b]))
      .forEach((row) => {
        if (held !== null && sign(y.value) * (row[b] - held) >= 0) return;
        line += line ? "H" + across.put(row[a]) + "V" + up.put(row[b]) : "M" + across.put(row[a]) + " " + up.put(row[b]);
        held = row[b];
      });
    svg.querySelector(".front").setAttribute("d", line);
    all("[data-t] text", svg).forEach((one) => one.remove());
    const taken = [];
    dots.forEach((dot) => {
      const row = table.rows[+dot.dataset.n], seen = row[+x.value] > 0 && row[+y.value] > 0;
      dot.style.display = seen ? "" : "none";
      if (!seen) return;
      const left = across.put(row[+x.value]), top = up.put(row[+y.value]);
      dot.setAttribute("cx", left);
      dot.setAttribute("cy", top);
      if (taken.every(([a, b]) => Math.abs(a - left) > 90 || Math.abs(b - top) > 12)) {
        taken.push([left, top]);
        const right = left > 324;
        dot.parentNode.append(svgElement("text", { x: left + (right ? -9 : 9), y: top + (right ? 4 : -5), class: right ? "end" : "" }, row[0]));
      }
    });
  }
});

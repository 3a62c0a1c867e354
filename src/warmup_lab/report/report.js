const read = id => JSON.parse(document.getElementById(id).textContent);
const specs = read("specs");
(async () => {
  const options = {actions: false, renderer: "svg", config: {...chartConfig, font: getComputedStyle(document.body).fontFamily}};
  // Vega-Embed changes what it is given, and the pictures need the specifications as they were.
  for (const [id, spec] of Object.entries(specs)) await vegaEmbed("#" + id, structuredClone(spec), options);
  document.documentElement.dataset.charts = "drawn";
})();
const valueOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
};
const compareCells = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
};
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map(row => [valueOf(row, column), row]);
      // Missing values stay at the end in either direction.
      rows.sort(([a], [b]) => a === "" || b === "" ? compareCells(a, b) : (rising ? 1 : -1) * compareCells(a, b));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    // A page opened from a file may lack the clipboard interface.
    try { await navigator.clipboard.writeText(code.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// Pointing at an arm, in a chart or in a table, fades all other arms in every chart. A brush selects several arms.
const marks = () => document.querySelectorAll(".chart .mark-line path, .chart .mark-rule line, .chart .mark-symbol path, .chart .mark-rect path, .chart .mark-text text, .run");
const armsOf = node => {
  const item = node.__data__, items = item?.mark?.marktype === "line" ? item.mark.items : [item];
  return items.map(one => one?.datum?.arm).filter(arm => typeof arm === "string");
};
let pointedAt = null, selected = null;
const highlight = () => {
  const shown = pointedAt === null ? selected : new Set([pointedAt]);
  for (const node of marks()) {
    const arms = shown ? armsOf(node) : [];
    node.classList.toggle("faded", arms.length > 0 && !arms.some(arm => shown.has(arm)));
  }
  for (const row of document.querySelectorAll("tr[data-arm]")) row.classList.toggle("lit", shown !== null && shown.has(row.dataset.arm));
};
const selectArms = arms => { selected = arms; highlight(); };
document.addEventListener("pointerover", event => {
  const row = event.target.closest?.("tr[data-arm]");
  const arms = row ? [row.dataset.arm] : event.target.closest?.(".chart, .run") ? armsOf(event.target) : [];
  const arm = arms.length && arms.every(one => one === arms[0]) ? arms[0] : null;
  if (arm !== pointedAt) { pointedAt = arm; highlight(); }
});

// A figure as one picture with its caption, made of the charts of the page.
const pictureOf = name => {
  const datasets = {};
  const filled = part => {
    if (Array.isArray(part)) return part.map(filled);
    if (part === null || typeof part !== "object") return part;
    if (part.chart === undefined) return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, filled(value)]));
    const {$schema, autosize, background, datasets: own, ...spec} = specs[part.chart];
    Object.assign(datasets, own);
    const {chart, ...look} = part;
    return {...spec, ...look};
  };
  const picture = filled(read("pictures")[name]);
  return {...picture, datasets: {...picture.datasets, ...datasets}};
};
const save = (url, file) => Object.assign(document.createElement("a"), {href: url, download: file}).click();
for (const button of document.querySelectorAll("button[data-figure]")) {
  button.addEventListener("click", async () => {
    const {figure, format} = button.dataset, hidden = document.createElement("div");
    const {view} = await vegaEmbed(hidden, structuredClone(pictureOf(figure)), {actions: false, renderer: "svg"});
    const url = format === "png" ? await view.toImageURL("png", 300 / 96) : URL.createObjectURL(new Blob([await view.toSVG()], {type: "image/svg+xml"}));
    save(url, `${study}-${figure}.${format}`);
    view.finalize();
  });
}

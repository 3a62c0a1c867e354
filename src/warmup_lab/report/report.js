(async () => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const options = {actions: false, renderer: "svg", config: {...chartConfig, font: getComputedStyle(document.body).fontFamily}};
  for (const [id, spec] of Object.entries(specs)) await vegaEmbed("#" + id, spec, options);
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

// Parallel coordinates: a line for every run. Dragging along an axis selects runs, here and in every chart and table.
// Each axis also has two handles for the keyboard, at the ends of its selection.
(() => {
  const data = read("parallel"), box = document.getElementById("parallel-chart");
  if (!data || !box) return;
  const ns = "http://www.w3.org/2000/svg";
  const draw = (parent, tag, attributes = {}, text = "") => {
    const node = document.createElementNS(ns, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    return parent.appendChild(node);
  };
  const brushes = data.axes.map(() => null), status = document.getElementById("parallel-status");
  const clear = document.getElementById("parallel-clear");
  const numSeeds = new Set(data.lines.map(line => line.seed)).size;
  const seeds = [...new Set(data.lines.map(line => line.seed))].sort((a, b) => a - b);
  const isIn = line => brushes.every((brush, axis) => !brush || line.at[axis] >= brush[0] && line.at[axis] <= brush[1]);
  // The places on each axis that a run passes, from the bottom: an arrow key moves a handle to the next one.
  const places = data.axes.map((_, axis) => [...new Set(data.lines.map(line => line.at[axis]))].sort((a, b) => a - b));
  const ends = axis => {
    const own = places[axis], brush = brushes[axis] || [0, 1], inside = own.filter(at => at >= brush[0] && at <= brush[1]);
    return inside.length ? [own.indexOf(inside[0]), own.indexOf(inside.at(-1))] : [0, own.length - 1];
  };
  const labelOf = (axis, at) => {
    const last = axis === data.axes.length - 1, line = data.lines.find(one => one.at[axis] === at);
    return last ? String(line.value) : data.axes[axis].ticks.reduce((best, tick) => Math.abs(tick[0] - at) < Math.abs(best[0] - at) ? tick : best)[1];
  };
  let paths = [];
  const select = () => {
    const chosen = data.lines.filter(isIn), any = brushes.some(Boolean);
    for (const [index, path] of paths.entries()) path.classList.toggle("out", any && !isIn(data.lines[index]));
    const arms = new Set(chosen.map(line => line.arm)), values = chosen.map(line => line.value);
    const range = values.length ? `, ${data.metric} ${Math.min(...values)} to ${Math.max(...values)}` : "";
    const failed = chosen.filter(line => line.failed).length;
    status.textContent = `${chosen.length} of ${data.lines.length} runs, ${arms.size} arms, ${failed} failed${range}`;
    clear.hidden = !any;
    selectArms(any ? arms : null);
  };
  const wrapped = (text, width) => text.split(" ").reduce((lines, word) => {
    const last = lines.at(-1);
    return last && (last + " " + word).length <= width ? [...lines.slice(0, -1), last + " " + word] : [...lines, word];
  }, []);
  const render = () => {
    const width = Math.max(280, box.clientWidth);
    const left = 46, right = width - 46, gap = (right - left) / (data.axes.length - 1);
    const titles = data.axes.map(axis => wrapped(axis.title, Math.max(9, Math.floor(gap / 7.5))));
    const top = 24 + 14 * Math.max(...titles.map(lines => lines.length)), height = 300, bottom = top + height;
    const longest = Math.max(6, Math.min(14, Math.floor((gap - 34) / 6.5)));
    const x = axis => left + gap * axis, y = share => bottom - height * share;
    box.replaceChildren();
    const svg = draw(box, "svg", {viewBox: `0 0 ${width} ${bottom + 12}`, width, height: bottom + 12, role: "group", "aria-label": "Swept values against quality, a line for every run"});
    const runs = draw(svg, "g", {"aria-hidden": "true"});
    const opacity = Math.min(0.75, Math.max(0.2, 60 / data.lines.length));
    svg.style.setProperty("--strength", opacity);
    const quality = data.axes.length - 1;
    paths = data.lines.map(line => {
      // Runs of an arm share all swept values, so they are drawn slightly apart.
      const shift = numSeeds > 1 ? 10 * (seeds.indexOf(line.seed) / (numSeeds - 1) - 0.5) : 0;
      const points = line.at.map((share, axis) => `${x(axis).toFixed(1)},${(y(share) + (axis === quality ? 0 : shift)).toFixed(1)}`);
      const path = draw(runs, "path", {class: "run" + (line.failed ? " failed" : ""), d: "M" + points.join("L")});
      // Otherwise the dashes of an arm's failed runs would form bars.
      path.style.strokeDashoffset = `${(3 * seeds.indexOf(line.seed)) % 7}px`;
      path.style.setProperty("--good", `${Math.round(15 + 85 * line.good)}%`);
      path.__data__ = {datum: {arm: line.arm}};
      draw(path, "title", {}, `${line.arm}, seed ${line.seed}: ${line.value}${line.failed ? ", failed" : ""}`);
      return path;
    });
    for (const [index, axis] of data.axes.entries()) {
      const anchor = index === 0 ? "start" : index === quality ? "end" : "middle";
      const at = index === 0 ? 4 : index === quality ? width - 4 : x(index);
      const lines = titles[index];
      lines.forEach((text, row) => draw(svg, "text", {class: "title", x: at, y: top - 14 - 14 * (lines.length - 1 - row), "text-anchor": anchor}, text));
      draw(svg, "line", {class: "axis", x1: x(index), x2: x(index), y1: top, y2: bottom});
      for (const [share, label] of axis.ticks) {
        const short = label.length > longest && Number.isNaN(Number(label)) ? label.slice(0, longest - 1) + "\u2026" : label;
        const last = index === quality;
        draw(svg, "text", {class: "tick", x: x(index) + (last ? 7 : -7), y: y(share) + 4, "text-anchor": last || index === 0 && short.length > 6 ? "start" : "end", ...(index === 0 && short.length > 6 ? {x: x(index) + 7} : {})}, short);
      }
      const band = draw(svg, "rect", {class: "band", x: x(index) - 9, width: 18, y: 0, height: 0, rx: 3});
      const handles = ["lower", "upper"].map(end => draw(svg, "rect", {class: "handle", x: x(index) - 11, width: 22, height: 7, rx: 3, tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": `${axis.title}, ${end} end of the selection`, "aria-valuemin": 0, "aria-valuemax": places[index].length - 1}));
      const show = () => {
        const brush = brushes[index], at = ends(index);
        band.setAttribute("y", brush ? y(brush[1]) : 0);
        band.setAttribute("height", brush ? Math.max(1, y(brush[0]) - y(brush[1])) : 0);
        for (const [end, handle] of handles.entries()) {
          handle.setAttribute("y", (brush ? y(brush[end]) : end ? top : bottom) - (end ? 7 : 0));
          handle.setAttribute("aria-valuenow", at[end]);
          handle.setAttribute("aria-valuetext", brush ? labelOf(index, places[index][at[end]]) : "all runs");
        }
      };
      for (const [end, handle] of handles.entries()) {
        handle.addEventListener("keydown", event => {
          const at = ends(index), most = places[index].length - 1, page = Math.max(1, Math.round(most / 10));
          const moves = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: page, PageDown: -page, Home: -most, End: most};
          if (event.key !== "Escape" && !(event.key in moves)) return;
          event.preventDefault();
          const moved = at[end] + (moves[event.key] || 0);
          // The handles do not pass each other.
          at[end] = end ? Math.min(most, Math.max(at[0], moved)) : Math.max(0, Math.min(at[1], moved));
          const isAll = event.key === "Escape" || at[0] === 0 && at[1] === most;
          brushes[index] = isAll ? null : at.map(one => places[index][one]);
          show();
          select();
        });
      }
      const grip = draw(svg, "rect", {class: "grip", x: x(index) - 16, width: 32, y: top, height});
      const shareOf = event => {
        const frame = svg.getBoundingClientRect();
        return Math.min(1, Math.max(0, (bottom - (event.clientY - frame.top) * (bottom + 12) / frame.height) / height));
      };
      grip.addEventListener("pointerdown", start => {
        const from = shareOf(start);
        grip.setPointerCapture(start.pointerId);
        brushes[index] = null;
        const move = event => {
          const to = shareOf(event);
          brushes[index] = Math.abs(to - from) < 0.01 ? null : [Math.min(from, to), Math.max(from, to)];
          show();
          select();
        };
        grip.addEventListener("pointermove", move);
        grip.addEventListener("pointerup", event => { move(event); grip.removeEventListener("pointermove", move); }, {once: true});
      });
      show();
    }
    select();
  };
  clear.addEventListener("click", () => { brushes.fill(null); render(); });
  new ResizeObserver(() => { if (box.clientWidth !== Number(box.dataset.width)) { box.dataset.width = box.clientWidth; render(); } }).observe(box);

  // The picture as a file: styles of the page become attributes, and the caption follows below.
  const picture = () => {
    // As wide as two columns of a paper, in the colours of paper.
    document.documentElement.classList.add("paper");
    box.style.width = "660px";
    render();
    const svg = box.querySelector("svg"), copy = svg.cloneNode(true), caption = box.closest("figure").querySelector("figcaption").textContent.trim();
    const [width, height] = ["width", "height"].map(name => Number(svg.getAttribute(name)));
    const nodes = [...svg.querySelectorAll("*")], copies = [...copy.querySelectorAll("*")];
    for (const [index, node] of nodes.entries()) {
      const style = getComputedStyle(node);
      for (const name of ["fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-dashoffset", "opacity", "paint-order", "font-size", "font-weight"]) copies[index].setAttribute(name, style.getPropertyValue(name));
    }
    copy.querySelectorAll(".grip, .handle").forEach(node => node.remove());
    const lines = wrapped(caption, Math.floor(width / 6));
    lines.forEach((text, row) => draw(copy, "text", {x: 4, y: height + 14 + 15 * row, "font-size": 11, fill: getComputedStyle(box).color}, text));
    const total = height + 20 + 15 * lines.length;
    const back = draw(copy, "rect", {width, height: total, fill: getComputedStyle(box.closest(".card")).backgroundColor});
    copy.prepend(back);
    for (const [name, value] of Object.entries({xmlns: ns, height: total, viewBox: `0 0 ${width} ${total}`, "font-family": "sans-serif"})) copy.setAttribute(name, value);
    document.documentElement.classList.remove("paper");
    box.style.width = "";
    render();
    return {text: new XMLSerializer().serializeToString(copy), width, height: total};
  };
  for (const button of document.querySelectorAll("#parallel-downloads button")) {
    button.addEventListener("click", async () => {
      const {text, width, height} = picture(), url = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
      if (button.dataset.kind === "svg") return save(url, `${study}-swept_values.svg`);
      const image = new Image(), canvas = document.createElement("canvas"), scale = 300 / 96;
      image.src = url;
      await image.decode();
      Object.assign(canvas, {width: width * scale, height: height * scale});
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      save(canvas.toDataURL("image/png"), `${study}-swept_values.png`);
    });
  }
})();

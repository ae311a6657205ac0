(() => {
  "use strict";
  const root = document.documentElement;
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const PAPER_WIDTH = 690; // pixels between the margins of an A4 page
  const NARROW = 600;

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // Colours of the page, and room that depends on the width: the figures say everything else.
  function dress(chart, width) {
    const narrow = width < NARROW;
    const ink = colour("--ink"), dim = colour("--dim"), grid = colour("--grid");
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": dim, "font.size": narrow ? 11 : 12,
      "font.family": getComputedStyle(document.body).fontFamily,
      "hoverlabel.bgcolor": colour("--card"), "hoverlabel.bordercolor": colour("--rule"), "hoverlabel.font.color": ink,
      "legend.font.color": ink, "legend.bgcolor": "rgba(0,0,0,0)",
      "margin.l": narrow ? 46 : 80, "margin.r": narrow ? 6 : 16,
    };
    for (const axis of Object.keys(chart.layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      layout[`${axis}.gridcolor`] = grid;
      layout[`${axis}.linecolor`] = grid;
      layout[`${axis}.zerolinecolor`] = dim;
      layout[`${axis}.zerolinewidth`] = 1;
      layout[`${axis}.tickcolor`] = grid;
      // On a phone the unit is in the text below: a title would lie on the numbers.
      if (axis.startsWith("y")) layout[`${axis}.title.text`] = narrow ? "" : chart.layout[axis].title?.text;
      layout[`${axis}.nticks`] = axis.startsWith("x") ? (narrow ? 5 : width < 800 ? 8 : 12) : 6;
    }
    return layout;
  }

  function inked(chart) {
    return chart.data.flatMap((trace, place) => (trace.meta === "ink" ? [place] : []));
  }

  function nested(flat) {
    const whole = {};
    for (const [path, value] of Object.entries(flat)) {
      const keys = path.split(".");
      let place = whole;
      for (const key of keys.slice(0, -1)) place = place[key] ??= {};
      place[keys.at(-1)] = value;
    }
    return whole;
  }

  function merged(base, more) {
    const whole = { ...base };
    for (const [key, value] of Object.entries(more)) {
      const both = value && typeof value === "object" && base[key] && typeof base[key] === "object";
      whole[key] = both ? merged(base[key], value) : value;
    }
    return whole;
  }

  async function draw(chart, element) {
    const config = { responsive: true, displaylogo: false, displayModeBar: false };
    for (const place of inked(chart)) chart.data[place].line.color = colour("--ink");
    const layout = merged(chart.layout, nested(dress(chart, element.clientWidth)));
    await Plotly.newPlot(element, chart.data, layout, config);
  }

  async function drawAll() {
    let drawn = 0;
    for (const chart of charts) {
      const element = document.getElementById(chart.id);
      try {
        await draw(chart, element);
        drawn += 1;
      } catch (error) {
        console.error(`chart ${chart.id}: ${error}`);
        if (element) element.textContent = "This chart could not be drawn.";
      }
      await new Promise((go) => setTimeout(go));
    }
    root.dataset.drawn = drawn;
  }

  function redress(width) {
    for (const chart of charts) {
      const element = document.getElementById(chart.id);
      if (!element?.data) continue;
      const size = width ? { width, height: element.clientHeight, autosize: false } : { autosize: true };
      if (!width) { element.layout.width = undefined; element.layout.height = undefined; }
      const places = inked(chart);
      const look = { ...dress(chart, width || element.clientWidth), ...size };
      if (places.length) Plotly.update(element, { "line.color": colour("--ink") }, look, places);
      else Plotly.relayout(element, look);
    }
  }

  // On paper nobody can open a day: those that are closed are open for as long as it takes to print.
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("paper");
    opened.push(...document.querySelectorAll("details:not([open])"));
    for (const day of opened) day.open = true;
    redress(PAPER_WIDTH);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    for (const day of opened) day.open = false;
    opened = [];
    redress(0);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redress(0));

  // A link to a day opens it.
  function unfold() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
  }
  addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#day-"]');
    if (link && link.hash === location.hash) unfold();
    const proof = event.target.closest("button.proof");
    if (proof && navigator.clipboard) {
      navigator.clipboard.writeText(proof.title).then(() => proof.classList.add("copied"), () => {});
    }
  });

  drawAll();
  unfold();
})();

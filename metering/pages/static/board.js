// Draws the charts of a page. If its main element names a source, loads that again and again while the page is visible.
"use strict";

const board = document.getElementById("board");
const line = document.getElementById("status");
const source = board.dataset.source;
const EVERY_MS = 4000;
const texts = new Map(); // id of a section -> its HTML as it was loaded

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(section) {
  const plot = section.querySelector(".plot");
  if (!plot || !window.Plotly) return;
  const figure = JSON.parse(section.querySelector("script").textContent);
  const axis = { gridcolor: color("--line"), linecolor: color("--line"), zerolinecolor: color("--line"), fixedrange: true };
  const layout = {
    ...figure.layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--text"), family: "system-ui, sans-serif" },
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
  };
  Plotly.react(plot, figure.data, layout, { responsive: true, displayModeBar: false, showTips: false });
}

function drawAll() {
  for (const section of board.children) draw(section);
}

// What had the focus, and how far tables were scrolled, stays when a section is replaced.
function replace(old, section) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const stops = (element) => [...element.querySelectorAll("a, [tabindex]")];
  const place = focused && stops(old).indexOf(focused);
  const [before, after] = [old.querySelector(".scroll"), section.querySelector(".scroll")];
  const scrolled = [before.scrollLeft, before.scrollTop];
  const [plot, empty] = [old.querySelector(".plot"), section.querySelector(".plot")];
  if (plot && empty) empty.replaceWith(plot);
  old.replaceWith(section);
  [after.scrollLeft, after.scrollTop] = scrolled;
  if (focused) (stops(section)[place] ?? after).focus({ preventScroll: true });
}

function show(html) {
  const sections = [...new DOMParser().parseFromString(html, "text/html").body.children];
  const ids = new Set(sections.map((section) => section.id));
  for (const old of [...board.children]) if (!ids.has(old.id)) old.remove();
  let previous = null;
  for (const fresh of sections) {
    const text = fresh.outerHTML;
    const section = document.adoptNode(fresh);
    const old = document.getElementById(section.id);
    if (old && texts.get(section.id) === text) {
      previous = old;
      continue;
    }
    if (old) replace(old, section);
    else if (previous) previous.after(section);
    else board.prepend(section);
    texts.set(section.id, text);
    previous = section;
    draw(section);
  }
}

function say(text, isAway) {
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("away", isAway);
}

async function load() {
  const began = performance.now();
  try {
    const answer = await fetch(source + location.search, { signal: AbortSignal.timeout(30000), cache: "no-store" });
    if (answer.ok) {
      show(await answer.text());
      say("Up to date.", false);
    } else {
      const told = await answer.json().catch(() => null);
      say(told?.error?.message ?? `Not available (${answer.status}); trying again …`, true);
    }
  } catch {
    say("Cannot be reached; trying again …", true);
  }
  // A ledger that takes long to read is read less often.
  return Math.min(Math.max(EVERY_MS, 5 * (performance.now() - began)), 60000);
}

function shown() {
  return new Promise((resolve) => {
    if (!document.hidden) resolve();
    else document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

async function keepLoading() {
  for (;;) {
    const pause = await load();
    await new Promise((resolve) => setTimeout(resolve, pause));
    await shown();
  }
}

// On a small screen the numbers come before the form.
const filters = document.getElementById("filters");
if (filters && matchMedia("(max-width: 40rem)").matches) filters.open = false;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
if (source) keepLoading();

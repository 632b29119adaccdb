// Interactive map of word vectors: two-dimensional positions before and after training, one variant at a time.
(() => {
  "use strict";
  const map = document.getElementById("word-map");
  if (!map) return;
  const data = JSON.parse(document.getElementById("word-map-data").textContent);
  const element = (name) => map.querySelector("." + name);
  const [svg, tip, status] = [element("words"), element("tip"), element("status")];
  const [variant, search] = [map.querySelector("select"), map.querySelector("input[type=search]")];
  const KINDS = { "-1": "negative", 0: "neutral", 1: "positive" };
  const SHAPES = {
    negative: "M-5.5-4.5H5.5L0 6Z",
    neutral: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
    positive: "M-5.5 4.5H5.5L0-6Z",
  };
  const MARGIN = 28, HOVER_RADIUS = 28, MAX_LABELS = 40; // pixels, pixels, words
  const kind = data.words.map((_, i) => KINDS[Math.sign(data.polarity[i] || 0)]);
  let when = "before", positions = { before: [], after: [] }, chosen = -1, active = -1;

  const create = (name, attributes, parent) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return parent.appendChild(node);
  };
  const trace = create("path", { class: "trace" }, svg);
  const marks = data.words.map((word, i) => {
    const mark = create("g", { class: "word " + kind[i] }, svg);
    create("path", { d: SHAPES[kind[i]] }, mark);
    create("text", { y: 4 }, mark).textContent = word;
    return mark;
  });
  // Order of labels: words with a polarity before neutral ones, then frequent words before rare ones.
  const order = marks.map((_, i) => i).sort((i, j) =>
    (kind[i] === "neutral") - (kind[j] === "neutral") || data.counts[j] - data.counts[i] || i - j);
  for (const i of [...order].reverse()) svg.append(marks[i]);
  for (const key of map.querySelectorAll(".key")) create("path", { d: SHAPES[key.dataset.kind] }, key);

  // Before and after share one scale, as do both axes, so that movements and distances are comparable.
  const measure = () => {
    const width = svg.clientWidth, height = Math.round(Math.min(Math.max(width * 0.6, 340), 640));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = height + "px";
    const both = data.variants[variant.value];
    const all = [...both.before, ...both.after].filter(Boolean);
    const [low, high] = [Math.min, Math.max].map((end) => [0, 1].map((axis) => all.reduce((a, p) => end(a, p[axis]), all[0][axis])));
    const spread = [0, 1].map((axis) => high[axis] - low[axis] || 1);
    const scale = Math.min((width - 2 * MARGIN) / spread[0], (height - 2 * MARGIN) / spread[1]);
    const place = (p) => p && [
      width / 2 + (p[0] - (low[0] + high[0]) / 2) * scale, height / 2 - (p[1] - (low[1] + high[1]) / 2) * scale];
    positions = { before: both.before.map(place), after: both.after.map(place) };
  };

  // A label is on the side of its mark with room; a label that would overlap another is hidden.
  const label = (width) => {
    const taken = [];
    let named = 0;
    for (const i of order) {
      const at = positions[when][i], text = marks[i].lastChild, long = data.words[i].length * 7 + 8;
      marks[i].classList.remove("named");
      if (!at) continue;
      const left = at[0] + long + 8 > width;
      text.setAttribute("x", left ? -8 : 8);
      text.setAttribute("text-anchor", left ? "end" : "start");
      const box = left ? [at[0] - long - 8, at[1] - 8, at[0], at[1] + 8] : [at[0], at[1] - 8, at[0] + long + 8, at[1] + 8];
      const free = taken.every((other) => box[2] < other[0] || other[2] < box[0] || box[3] < other[1] || other[3] < box[1]);
      if (!free || named >= MAX_LABELS || named * 26 >= width || data.words[i].length > 24) continue;
      taken.push(box);
      named += 1;
      marks[i].classList.add("named");
    }
  };

  const draw = (animated) => {
    svg.classList.toggle("still", !animated);
    marks.forEach((mark, i) => {
      const at = positions[when][i];
      mark.toggleAttribute("hidden", !at);
      if (at) mark.style.transform = `translate(${at[0].toFixed(1)}px, ${at[1].toFixed(1)}px)`;
    });
    label(svg.clientWidth);
    show(active);
  };

  const anyMoved = () => {
    const both = data.variants[variant.value];
    return both.before.some((p, i) => p && both.after[i] && (p[0] !== both.after[i][0] || p[1] !== both.after[i][1]));
  };
  const announce = (text) => { status.textContent = text; };
  const variantName = () => variant.selectedOptions[0].text;
  const state = () => announce(anyMoved()
    ? `${variantName()}, ${when} training: ${data.words.length} words.`
    : `${variantName()}: training moved no word.`);

  const show = (i, spoken) => {
    if (active >= 0) marks[active].classList.remove("active");
    active = i >= 0 && positions[when][i] ? i : -1;
    tip.hidden = active < 0;
    trace.setAttribute("d", "");
    if (active < 0) return;
    const [x, y] = positions[when][i], count = Number(data.counts[i]).toLocaleString("en");
    marks[i].classList.add("active");
    if (svg.lastChild !== marks[i]) svg.append(marks[i]);
    const [from, to] = [positions.before[i], positions.after[i]];
    if (from && to) trace.setAttribute("d", `M${from}L${to}`);
    const facts = `${kind[i] === "neutral" ? "neither positive nor negative" : kind[i]}, ${count} times in the text`;
    tip.replaceChildren(Object.assign(document.createElement("strong"), { textContent: data.words[i] }), facts);
    const maxLeft = svg.clientWidth - tip.offsetWidth;
    const above = y - tip.offsetHeight - 14;
    tip.style.transform = `translate(${Math.max(0, Math.min(maxLeft, x - tip.offsetWidth / 2))}px, ${above < 0 ? y + 14 : above}px)`;
    if (spoken) announce(`${data.words[i]}: ${facts}.`);
  };

  const choose = (i) => { chosen = i; show(i, true); };
  const nearest = (x, y, allowed) => {
    let best = -1, least = Infinity;
    positions[when].forEach((at, i) => {
      const distance = at ? Math.hypot(at[0] - x, at[1] - y) : Infinity;
      if (distance < least && allowed(at[0] - x, at[1] - y, i)) [best, least] = [i, distance];
    });
    return best;
  };
  const wordAt = (event) => {
    const box = svg.getBoundingClientRect();
    return nearest(event.clientX - box.left, event.clientY - box.top, (dx, dy) => Math.hypot(dx, dy) < HOVER_RADIUS);
  };

  const find = (settled) => {
    const query = search.value.trim().toLowerCase();
    const hits = query ? order.filter((i) => data.words[i].toLowerCase().startsWith(query)) : [];
    const exact = hits.find((i) => data.words[i].toLowerCase() === query);
    svg.classList.toggle("searching", hits.length > 0);
    marks.forEach((mark) => mark.classList.remove("found"));
    const highlighted = exact === undefined || !settled ? hits : [exact];
    highlighted.slice(0, 20).forEach((i) => marks[i].classList.add("found"));
    chosen = exact ?? (hits.length === 1 || settled ? hits[0] ?? -1 : -1);
    show(chosen, true);
    if (!query) state();
    else if (!hits.length) announce(`No word on the map starts with “${search.value.trim()}”.`);
    else if (chosen < 0) announce(`${hits.length} words start with “${search.value.trim()}”.`);
  };

  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const onKey = (event) => {
    if (event.key === "Escape") { search.value = ""; find(false); return; }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    if (active < 0) { choose(order.find((i) => positions[when][i]) ?? -1); return; }
    const [x, y] = positions[when][active];
    const inDirection = (dx, dy, i) => {
      const along = dx * step[0] + dy * step[1], aside = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      return i !== active && along > 0 && along >= aside;
    };
    const next = nearest(x, y, inDirection);
    if (next >= 0) choose(next);
  };

  const restart = (animated) => { measure(); draw(animated); state(); };
  variant.addEventListener("change", () => restart(true));
  for (const choice of map.querySelectorAll("input[type=radio]")) {
    choice.addEventListener("change", () => { when = choice.value; draw(true); state(); });
  }
  svg.addEventListener("pointermove", (event) => { const i = wordAt(event); show(i >= 0 ? i : chosen); });
  svg.addEventListener("pointerdown", (event) => choose(wordAt(event)));
  svg.addEventListener("pointerleave", () => show(chosen));
  svg.addEventListener("keydown", onKey);
  search.addEventListener("input", () => find(false));
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") find(true); if (event.key === "Escape") onKey(event); });

  map.hidden = false;
  when = map.querySelector("input[type=radio]:checked").value;
  restart(false);
  let drawnWidth = svg.clientWidth;
  const refit = () => {
    if (!svg.clientWidth || svg.clientWidth === drawnWidth) return;
    drawnWidth = svg.clientWidth;
    measure();
    draw(false);
  };
  new ResizeObserver(() => requestAnimationFrame(refit)).observe(element("plot"));
})();

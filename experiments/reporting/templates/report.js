// What a report does once it is open. All text goes through textContent: nothing of a run becomes markup.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // Curves

  const SVG = "http://www.w3.org/2000/svg";
  function svg(name, attributes = {}, text = "") {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  }

  function html(name, attributes = {}, text = "") {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  }

  const short = (x) => {
    if (x === 0) return "0";
    const size = Math.abs(x);
    if (size >= 1e6) return `${+(x / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(x / 1e3).toPrecision(3)}k`;
    return size < 1e-3 ? x.toExponential(0) : `${+x.toPrecision(4)}`;
  };

  function niceTicks(low, high, wanted) {
    const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
    return ticks;
  }

  function logTicks(low, high) {
    const ticks = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) ticks.push(10 ** p);
    return ticks.filter((tick) => tick >= low / 1.001 && tick <= high * 1.001);
  }

  function ranges(chart) {
    let low = Infinity, high = -Infinity;
    const take = (y) => { if (y !== null && (!chart.log || y > 0)) { low = Math.min(low, y); high = Math.max(high, y); } };
    chart.lines.forEach((line) => line.values.forEach(take));
    chart.references.forEach((reference) => take(reference.value));
    if (low === Infinity) [low, high] = [chart.log ? 0.1 : 0, 1];
    if (chart.log) return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.0001))];
    const margin = (high - low || Math.abs(high) || 1) * 0.06;
    return [low - margin, high + margin];
  }

  function drawChart(figure, chart) {
    const width = Math.max(260, figure.clientWidth), height = Math.round(Math.min(300, 130 + width * 0.25));
    const left = 52, right = 12, top = 14, bottom = 34;
    const [low, high] = ranges(chart);
    const lastStep = Math.max(1, ...chart.lines.map((line) => line.steps[line.steps.length - 1] || 0));
    const scale = chart.log ? Math.log10 : (y) => y;
    const x = (step) => left + (step / lastStep) * (width - left - right);
    const y = (value) => height - bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (height - top - bottom);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0",
      "aria-label": `${chart.title}. Arrow keys read values off.` });
    for (const tick of chart.log ? logTicks(low, high) : niceTicks(low, high, 5)) {
      picture.append(svg("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
    }
    for (const tick of niceTicks(0, lastStep, width < 400 ? 4 : 6)) {
      picture.append(svg("line", { class: "axis", x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 5 }),
        svg("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle" }, short(tick)));
    }
    picture.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
      svg("text", { x: width - right, y: height - 2, "text-anchor": "end" }, "step"));
    chart.references.forEach((reference) => picture.append(
      svg("line", { class: "reference", x1: left, x2: width - right, y1: y(reference.value), y2: y(reference.value) })));
    chart.lines.forEach((line) => picture.append(svg("path", { class: `line ${line.player}`, d: path(line, x, y, chart.log) })));
    chart.references.forEach((reference) => picture.append(
      svg("text", { class: "named", x: width - right, y: y(reference.value) - 5, "text-anchor": "end" }, reference.label)));
    const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    picture.append(cursor);
    readable(picture, cursor, figure, chart, (at) => ((at - left) / (width - left - right)) * lastStep, x, width);
    figure.querySelector(".plot").replaceChildren(picture);
  }

  function path(line, x, y, log) {
    let drawn = "", pen = "M";
    line.values.forEach((value, i) => {
      if (value === null || (log && value <= 0)) { pen = "M"; return; }
      drawn += `${pen}${x(line.steps[i]).toFixed(1)},${y(value).toFixed(1)}`;
      pen = "L";
    });
    return drawn;
  }

  // A vertical line follows the pointer or the arrow keys, and the values there are written below.
  function readable(picture, cursor, figure, chart, toStep, x, width) {
    const steps = chart.lines[0] ? chart.lines[0].steps : [];
    const readout = figure.querySelector(".readout");
    let place = steps.length - 1;
    const show = (i) => {
      if (!steps.length) return;
      place = Math.max(0, Math.min(steps.length - 1, i));
      cursor.setAttribute("x1", x(steps[place]));
      cursor.setAttribute("x2", x(steps[place]));
      cursor.setAttribute("visibility", "visible");
      const said = chart.lines.map((line) => {
        const at = line.steps.indexOf(steps[place]);
        return at < 0 || line.values[at] === null ? "" : `${line.label} ${short(line.values[at])}`;
      }).filter(Boolean).slice(0, 6);
      readout.textContent = `step ${steps[place].toLocaleString("en")}: ${said.join(", ")}`;
    };
    picture.addEventListener("pointermove", (event) => {
      const box = picture.getBoundingClientRect();
      const step = toStep(((event.clientX - box.left) / box.width) * width);
      show(steps.reduce((best, each, i) => (Math.abs(each - step) < Math.abs(steps[best] - step) ? i : best), 0));
    });
    picture.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, PageUp: -10, PageDown: 10 }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      show(move === -Infinity ? 0 : move === Infinity ? steps.length - 1 : place + move);
    });
  }

  function startCharts() {
    const figures = [...document.querySelectorAll("figure.chart")];
    const drawAll = () => figures.forEach((figure, i) => drawChart(figure, data.charts[i]));
    figures.forEach((figure, i) => {
      const legend = figure.querySelector(".legend");
      if (data.charts[i].lines.length <= 6) data.charts[i].lines.forEach((line) => {
        const item = html("li"), sample = svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
        sample.append(svg("line", { class: `line ${line.player}`, x1: 0, x2: 26, y1: 5, y2: 5 }));
        item.append(sample, document.createTextNode(line.label));
        legend.append(item);
      });
    });
    drawAll();
    let width = window.innerWidth;
    window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); } });
  }

  // Pictures over training

  function startFrames() {
    const slider = byId("frame-slider");
    if (!slider) return;
    const picture = byId("frame"), said = byId("frame-step");
    const show = () => {
      const frame = data.frames[+slider.value];
      picture.src = frame.uri;
      picture.alt = `samples after step ${frame.step}`;
      said.textContent = `after step ${frame.step.toLocaleString("en")}`;
      slider.setAttribute("aria-valuetext", said.textContent);
    };
    slider.addEventListener("input", show);
    show();
  }

  // The generator

  function randomNumbers(seed) {  // mulberry32, and Box-Muller: the same seed draws the same sample everywhere
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  const length = (v) => Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));

  // Along the great circle between two latents, the length going evenly from one to the other.
  function between(a, b, t) {
    const p = length(a), q = length(b);
    const cosine = a.reduce((sum, value, i) => sum + (value * b[i]) / (p * q), 0);
    const angle = Math.acos(Math.max(-1 + 1e-6, Math.min(1 - 1e-6, cosine)));
    const from = Math.sin((1 - t) * angle) / Math.sin(angle), to = Math.sin(t * angle) / Math.sin(angle);
    return a.map((value, i) => ((1 - t) * p + t * q) * ((from * value) / p + (to * b[i]) / q));
  }

  const toPixel = (value) => Math.max(0, Math.min(255, Math.round(value * 127.5 + 127.5)));

  function paint(canvas, image, [height, width, channels]) {
    canvas.width = width;
    canvas.height = height;
    const pixels = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = toPixel(image[i * channels + (channels < 3 ? 0 : c)]);
      pixels.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  function startGenerator() {
    if (!data.generator) return null;
    const given = data.generator, network = ganJax.load(given.generator), size = network.inputShape[0];
    const sliders = [...document.querySelectorAll("input[data-direction]")], walk = byId("walk"), classes = byId("class");
    const judge = given.plane && given.plane.discriminator ? ganJax.load(given.plane.discriminator) : null;
    let seed = 1, start = given.latents[0], goal = given.latents[1 % given.latents.length];
    const draw = () => { const next = randomNumbers(seed++); return Array.from({ length: size }, next); };
    const label = () => (classes ? +classes.value : 0);
    const latents = () => {
      const z = between(start, goal, +walk.value);
      sliders.forEach((slider, k) => z.forEach((_, i) => { z[i] += +slider.value * given.directions[k][i]; }));
      return z;
    };
    const generate = (z) => network.run(z, label());
    const isPlane = Boolean(given.plane), canvas = byId("sample");
    let gallery = given.latents;

    function show() {
      if (isPlane) { drawPlane(canvas, given.plane, judge, gallery.map(generate), generate(latents())); return; }
      paint(canvas, generate(latents()), network.outputShape);
    }
    function showEnds() {
      if (isPlane) return;
      paint(byId("walk-start"), generate(start), network.outputShape);
      paint(byId("walk-goal"), generate(goal), network.outputShape);
    }
    function showGallery() {
      const place = byId("gallery");
      if (!place) return;
      place.replaceChildren(...gallery.map((z, i) => {
        const button = html("button", { type: "button", "aria-label": `take sample ${i + 1}` }), small = html("canvas", { class: "pixels" });
        paint(small, generate(z), network.outputShape);
        button.append(small);
        button.addEventListener("click", () => { begin(z); });
        return button;
      }));
    }
    function begin(z) {
      start = z;
      walk.value = 0;
      showEnds();
      show();
    }
    sliders.forEach((slider) => slider.addEventListener("input", show));
    walk.addEventListener("input", show);
    byId("another").addEventListener("click", () => begin(draw()));
    byId("reset").addEventListener("click", () => { sliders.forEach((slider) => { slider.value = 0; }); walk.value = 0; show(); });
    byId("another-goal").addEventListener("click", () => { goal = draw(); showEnds(); show(); });
    byId("another-gallery").addEventListener("click", () => { gallery = gallery.map(draw); isPlane ? show() : showGallery(); });
    if (classes) classes.addEventListener("change", () => { showEnds(); show(); showGallery(); });
    if (isPlane) gallery = Array.from({ length: 400 }, draw);
    showEnds();
    show();
    showGallery();
    return network;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // D's surface in its own range: orange where it is lowest, blue where it is highest.
  function drawSurface(context, surface, fine, size) {
    const low = Math.min(...surface), span = Math.max(...surface) - low || 1;
    const small = document.createElement("canvas"), pixels = new ImageData(fine, fine);
    small.width = small.height = fine;
    surface.forEach((value, i) => {
      const share = (value - low) / span, [red, green, blue] = share > 0.5 ? [0, 114, 178] : [213, 94, 0];
      pixels.data.set([red, green, blue, 300 * Math.abs(share - 0.5)], 4 * i);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.drawImage(small, 0, 0, size, size);
  }

  // The plane: how likely D finds a real point there, real points, generated ones, and the one that the sliders move.
  function drawPlane(canvas, plane, judge, points, chosen) {
    const size = 560, fine = 70, context = canvas.getContext("2d");
    canvas.width = canvas.height = size;
    const place = ([x, y]) => [((x / plane.extent + 1) / 2) * size, ((1 - y / plane.extent) / 2) * size];
    context.fillStyle = colour("--card");
    context.fillRect(0, 0, size, size);
    if (judge && !drawPlane.surface) {
      drawPlane.surface = Array.from({ length: fine * fine }, (_, i) => {
        const x = (((i % fine) + 0.5) / fine) * 2 - 1, y = 1 - ((Math.floor(i / fine) + 0.5) / fine) * 2;
        return 1 / (1 + Math.exp(-judge.run([x * plane.extent, y * plane.extent])[0]));
      });
      const [low, high] = [Math.min(...drawPlane.surface), Math.max(...drawPlane.surface)];
      byId("surface-range").textContent = `D says real with probability ${low.toFixed(2)} (orange) to ${high.toFixed(2)} (blue).`;
    }
    if (judge) drawSurface(context, drawPlane.surface, fine, size);
    const dot = (point, radius, fill) => {
      const [x, y] = place(point);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = fill;
      context.fill();
    };
    plane.real.forEach((point) => dot(point, 2.4, colour("--d")));
    points.forEach((point) => dot(point, 2.4, colour("--g")));
    dot(chosen, 8, colour("--card"));
    dot(chosen, 6, colour("--ink"));
  }

  if (data.charts.length) startCharts();
  startFrames();
  window.ganReport = { network: startGenerator(), data };
})();

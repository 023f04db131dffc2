// Draws the charts of a page. Their options come as data, formatted; here they get the theme, and what only a script
// can draw: intervals, crosses, bands. Without this file a chart is its title, its summary and its table.
"use strict";

(() => {
  const { echarts } = window;
  if (!echarts) return;
  const HUES = 6;
  const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "arrow"];
  const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3], [12, 4], [2, 2]];
  const SPOKEN = new Set(["line", "bar", "scatter", "heatmap"]);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  const look = () => {
    const style = getComputedStyle(document.documentElement);
    const token = (name) => style.getPropertyValue(name).trim();
    return {
      text: token("--text"), muted: token("--muted"), line: token("--line"), strong: token("--line-strong"),
      surface: token("--surface"), font: token("--sans"), heat: [token("--heat-low"), token("--heat-high")],
      hues: Array.from({ length: HUES }, (_, number) => token(`--c${number}`)),
    };
  };

  // In rich text, braces would name a style.
  const plain = (text) => String(text ?? "").replaceAll("{", "(").replaceAll("}", ")");
  const minus = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : value);

  const stroke = (colour, width = 2, extra = {}) => ({ stroke: colour, lineWidth: width, fill: null, ...extra });
  const segment = (from, to, style) => (
    { type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style }
  );
  const levelLabel = (name, x, y, align, theme) => ({
    type: "text", style: { text: plain(name), x, y, fill: theme.muted, font: `12px ${theme.font}`, textAlign: align, textVerticalAlign: "bottom" },
  });

  // What a custom series draws for one of its items, by the name in its `draw`.
  const PENS = {
    interval: (series, theme, colour) => (params, api) => {
      const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(0), api.value(2)])];
      return segment(low, high, stroke(colour, 2, { opacity: 0.55 }));
    },
    cross: (series, theme, colour) => (params, api) => {
      const [x, y] = [api.value(0), api.value(1)];
      const across = segment(api.coord([api.value(2), y]), api.coord([api.value(3), y]), stroke(colour, 1.5, { opacity: 0.5 }));
      const up = segment(api.coord([x, api.value(4)]), api.coord([x, api.value(5)]), stroke(colour, 1.5, { opacity: 0.5 }));
      return { type: "group", children: [across, up] };
    },
    band: (series, theme, colour) => (params, api) => {
      if (params.dataIndex) return null;
      const low = series.data.map((item) => api.coord([item[0], item[1]]));
      const high = series.data.map((item) => api.coord([item[0], item[2]])).reverse();
      return { type: "polygon", shape: { points: [...low, ...high] }, style: { fill: colour, opacity: 0.18 } };
    },
    "bar-interval": (series, theme) => (params, api) => {
      const place = api.barLayout({ count: series.of, barCategoryGap: "30%", barGap: "0%", barMaxWidth: 22 })[series.place];
      const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(2), api.value(1)])];
      const y = low[1] + place.offsetCenter;
      const ends = [low[0], high[0]].map((x) => segment([x, y - 4], [x, y + 4], stroke(theme.text, 1.5)));
      return { type: "group", children: [segment([low[0], y], [high[0], y], stroke(theme.text, 1.5)), ...ends] };
    },
    level: (series, theme) => (params, api) => {
      const box = params.coordSys;
      const y = api.coord([api.value(0), api.value(1)])[1];
      const line = segment([box.x, y], [box.x + box.width, y], stroke(theme.strong, 1, { lineDash: [4, 4] }));
      return { type: "group", children: [line, levelLabel(series.name, box.x + box.width - 4, y - 2, "right", theme)] };
    },
    "level-x": (series, theme) => (params, api) => {
      const box = params.coordSys;
      const x = api.coord([api.value(0), api.value(1)])[0];
      const line = segment([x, box.y], [x, box.y + box.height], stroke(theme.strong, 1, { lineDash: [4, 4] }));
      return { type: "group", children: [line, levelLabel(series.name, x, box.y - 2, "center", theme)] };
    },
    diagonal: (series, theme) => (params, api) => {
      const [from, to] = [api.coord([0, 0]), api.coord([1, 1])];
      const line = segment(from, to, stroke(theme.strong, 1, { lineDash: [4, 4] }));
      const beside = [from[0] + 0.55 * (to[0] - from[0]) - 8, from[1] + 0.55 * (to[1] - from[1]) - 2];
      return { type: "group", children: [line, levelLabel(series.name, beside[0], beside[1], "right", theme)] };
    },
  };

  const themedSeries = (series, theme) => {
    const hue = (series.hue ?? 0) % HUES;
    const colour = theme.hues[hue];
    if (series.type === "custom") {
      return { ...series, z: series.draw === "bar-interval" ? 5 : 2, clip: !series.dashed, renderItem: PENS[series.draw](series, theme, colour), itemStyle: { color: colour } };
    }
    const made = { ...series, itemStyle: { color: colour }, emphasis: { focus: series.type === "line" ? "series" : "none" } };
    if (series.type === "line") {
      made.symbol = series.bare ? "none" : SYMBOLS[hue];
      made.symbolSize = 7;
      made.lineStyle = { color: colour, width: series.bare ? 1.5 : 2, type: series.bare ? "dashed" : DASHES[hue] };
    }
    if (series.type === "scatter") {
      made.symbol = SYMBOLS[hue];
      made.data = series.data.map((item) => ({
        ...item,
        symbolSize: item.strong ? 13 : 10,
        itemStyle: { color: colour, borderColor: theme.surface, borderWidth: 1 },
        label: item.label
          ? { show: true, position: "top", formatter: plain(item.label), color: theme.text, fontSize: 12 }
          : { show: false },
      }));
    }
    if (series.type === "bar") Object.assign(made, { barCategoryGap: "30%", barGap: "0%", barMaxWidth: 22 });
    if (series.type === "heatmap") {
      made.data = series.data.map((item) => ({ ...item, label: { show: true, formatter: item.label } }));
      made.label = { show: true };
    }
    return made;
  };

  const themedAxis = (axis, theme, upright, width) => ({
    ...axis,
    nameLocation: "middle",
    nameGap: upright ? 44 : 28,
    nameTextStyle: { color: theme.muted, fontSize: 12 },
    nameTruncate: { maxWidth: upright ? 220 : width - 48 },
    axisLine: { show: !upright || axis.type === "category", lineStyle: { color: theme.strong } },
    axisTick: { show: false },
    axisLabel: {
      color: theme.muted, fontSize: 12, hideOverlap: true,
      ...(axis.type === "category"
        ? { width: upright ? Math.min(200, width * 0.34) : undefined, overflow: "truncate" }
        : axis.type === "time" ? {} : { formatter: minus }),
    },
    splitLine: { show: axis.type !== "category", lineStyle: { color: theme.line } },
    splitNumber: width < 480 && !upright ? 4 : 5,
  });

  const legendOf = (options, theme, width) => {
    const names = [...new Set(options.series.filter((one) => SPOKEN.has(one.type) && one.type !== "heatmap").map((one) => one.name))];
    const marked = (name) => {
      const { type, hue = 0 } = options.series.find((one) => one.name === name && SPOKEN.has(one.type));
      return { name, icon: type === "bar" ? "roundRect" : SYMBOLS[hue % HUES], itemStyle: { color: theme.hues[hue % HUES] } };
    };
    if (names.length < 2) return { legend: { show: false }, height: 0 };
    let [rows, used] = [1, 0];
    names.forEach((name) => {
      const needed = Math.min(name.length * 7 + 46, width);
      if (used && used + needed > width) { rows += 1; used = 0; }
      used += needed;
    });
    return {
      legend: {
        data: names.map(marked), top: 0, left: 0, itemGap: 14, itemWidth: 14, itemHeight: 10,
        textStyle: { color: theme.text, fontSize: 12, width: width - 60, overflow: "truncate" }, inactiveColor: theme.strong,
      },
      height: rows * 24,
    };
  };

  const told = (params) => {
    const found = (Array.isArray(params) ? params : [params]).filter((one) => one.data && one.data.text);
    return plain([...new Set(found.flatMap((one) => one.data.text.split(" · ")))].join("\n"));
  };

  const themed = (options, summary, theme, width) => {
    const { legend, height } = legendOf(options, theme, width);
    const heat = options.visualMap;
    const above = options.series.some((one) => one.draw === "level-x") ? 24 : 12;
    return {
      useUTC: true,
      animation: !calm.matches,
      animationDuration: 200,
      aria: { enabled: true, decal: { show: options.series.some((one) => one.type === "bar") && height > 0 }, label: { description: summary } },
      textStyle: { fontFamily: theme.font, color: theme.text },
      legend,
      grid: { left: 4, right: 16, top: height + above, bottom: heat ? 44 : 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      tooltip: {
        ...options.tooltip, renderMode: "richText", confine: true, backgroundColor: theme.surface, borderColor: theme.strong,
        textStyle: { color: theme.text, fontSize: 12, fontFamily: theme.font }, formatter: told,
        axisPointer: { lineStyle: { color: theme.strong } },
      },
      xAxis: themedAxis(options.xAxis, theme, false, width),
      yAxis: themedAxis(options.yAxis, theme, true, width),
      visualMap: heat
        ? { ...heat, type: "continuous", orient: "horizontal", left: "center", bottom: 0, calculable: false, itemHeight: 160, itemWidth: 12, inRange: { color: theme.heat }, textStyle: { color: theme.muted }, formatter: minus }
        : undefined,
      series: options.series.map((one) => themedSeries(one, theme)),
    };
  };

  // Arrow keys: left and right along a series, up and down to the next; Escape lets go.
  const keys = (box, live, state) => (event) => {
    const spoken = state.options.series.map((one, index) => ({ one, index })).filter(({ one }) => SPOKEN.has(one.type) && !one.bare);
    if (!spoken.length) return;
    const hide = () => state.chart.dispatchAction({ type: "hideTip" });
    if (event.key === "Escape") { hide(); live.textContent = ""; return; }
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const wrap = (value, size) => (value + size) % size;
    if (state.at) state.at = [wrap(state.at[0] + step[0], spoken.length), state.at[1] + step[1]];
    else state.at = [0, 0];
    const { one, index } = spoken[state.at[0]];
    const held = one.data.map((item, place) => (item ? place : -1)).filter((place) => place >= 0);
    if (!held.length) return;
    state.at[1] = wrap(Math.min(state.at[1], held.length), held.length);
    const place = held[state.at[1]];
    state.chart.dispatchAction({ type: "showTip", seriesIndex: index, dataIndex: place });
    const { text } = one.data[place];
    live.textContent = one.name && !text.includes(one.name) ? `${one.name}: ${text}` : text;
  };

  const paint = (state) => {
    const theme = look();
    state.chart.setOption(themed(state.options, state.summary, theme, state.box.clientWidth), { notMerge: true });
    state.box.setAttribute("aria-label", `${state.title}. ${state.summary} ${state.box.dataset.keys}`);
  };

  const draw = (figure) => {
    if (drawn.has(figure)) return;
    const block = document.getElementById(figure.dataset.chart);
    const box = figure.querySelector("[data-chart-box]");
    const live = figure.querySelector("[data-chart-live]");
    const options = JSON.parse(block.dataset.options);
    box.hidden = false;
    if (options.rows) box.style.height = `${Math.min(1200, 88 + options.rows * 30)}px`;
    box.tabIndex = 0;
    const state = {
      box, options, at: null,
      title: figure.querySelector(".chart-title").textContent,
      summary: figure.querySelector(".chart-summary").textContent,
      chart: echarts.init(box, null, { renderer: "svg" }),
    };
    drawn.set(figure, state);
    paint(state);
    box.addEventListener("keydown", keys(box, live, state));
    box.addEventListener("blur", () => state.chart.dispatchAction({ type: "hideTip" }));
    let width = box.clientWidth;
    new ResizeObserver(() => {
      if (!box.isConnected || box.clientWidth === width || !box.clientWidth) return;
      width = box.clientWidth;
      state.chart.resize();
      paint(state);
    }).observe(box);
  };

  const drawAll = () => {
    drawn.forEach((state, figure) => {
      if (figure.isConnected) return;
      state.chart.dispose();
      drawn.delete(figure);
    });
    document.querySelectorAll("figure[data-chart]").forEach(draw);
  };
  const repaint = () => drawn.forEach(paint);

  dark.addEventListener("change", repaint);
  calm.addEventListener("change", repaint);
  document.addEventListener("htmx:afterSettle", drawAll);
  drawAll();
})();

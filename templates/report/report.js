
"use strict";

/* The page of `policyc report`. Everything it shows comes from the data block and is put in by textContent; nothing is
   ever parsed as HTML. An outcome is [kind, exits, ways]; a way is [when, actions, rule or -1, reason, kind]. */

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const after = data.sides[data.sides.length - 1];
  const before = data.sides.length === 2 ? data.sides[0] : null;

  const PORTS = 0x10000, ROW = 256, PASSES = 0, MSR_COLUMNS = [0, 1], PORT_COLUMNS = [2, 3, 4, 5, 6, 7], ALONE = -1;
  const CHANGE_KINDS = ["same", "opens", "closes", "changes"], SIDES = ["before", "after"];
  const MOST_ROWS = 300, MORE_ROWS = 1000, MOST_ZOOM = 16, LETTER_FROM = 16, TILE = 24;
  const LENS_COLUMNS = 16, LENS_ROWS = 7, LENS_WIDTH = 336, STRIP = 8;
  const LETTERS = {
    passes: "", relayed: "r", mask: "M", forward: "F", exit: "E", notify: "N", shadow: "S", const: "C", drop: "D", inject: "I",
    kill: "K", same: "", opens: "+", closes: "\u2212", changes: "~",
  };
  const WORDS = {
    passes: "passes", relayed: "exits, passed on", mask: "mask", forward: "forward", exit: "exit", notify: "notify",
    shadow: "shadow", const: "const", drop: "drop", inject: "inject", kill: "kill", same: "as before", opens: "opens",
    closes: "closes", changes: "changes",
  };
  const MEANINGS = {
    passes: "reaches the hardware without an exit", relayed: "exits, and the handler passes it on as it is",
    mask: "the handler passes it on with some bits changed", forward: "a function of the hypervisor handles it",
    exit: "the hypervisor's exit hook handles it", notify: "user space handles it",
    shadow: "a copy for each vCPU stands for the register", const: "a read gives a fixed value",
    drop: "a write does nothing, a read gives nothing", inject: "the guest gets an exception", kill: "the machine is stopped",
    same: "fares as it did", opens: "reaches the hardware now, and did not before",
    closes: "reached the hardware before, and does not now", changes: "something else becomes of it",
  };
  const REASONS = {
    rule: "", default: "no rule names it: the default",
    outside: "the processor has no bit for it, so it always exits",
    past: "it runs past port 0xffff, so it always exits",
    shared: "the policy passes it, but it shares its bit with an access that traps",
    x2apic: "KVM never filters the x2APIC MSRs",
    unenforced: "WARNING: the decisions trap it, the image lets it pass",
    extra: "the image makes it exit, no decision does",
  };
  /* Where the pattern of a kind has ink, in pixels: the second channel beside colour. */
  const PATTERNS = {
    relayed: (x, y) => x % 4 === 1 && y % 4 === 1,
    mask: (x, y) => y % 6 === 2,
    forward: (x, y) => x % 8 === 3 && y % 4 === 1,
    exit: (x, y) => (x + y) % 8 === 0,
    notify: (x, y) => x % 6 === 2,
    shadow: (x, y) => y % 4 === 1 && x % 2 === 0,
    const: (x, y) => (x % 6 === 1 && y % 6 === 1) || (x % 6 === 4 && y % 6 === 4),
    drop: (x, y) => (x - y + TILE) % 8 === 0,
    inject: (x, y) => (x + y) % 8 === 0 || (x - y + TILE) % 8 === 0,
    kill: () => false,
    opens: (x, y) => (x + y) % 8 === 0,
    closes: (x, y) => (x - y + TILE) % 8 === 0,
    changes: (x, y) => x % 4 === 1 && y % 4 === 1,
  };

  const byId = (id) => document.getElementById(id);
  const hex = (number, digits = 0) => `0x${number.toString(16).padStart(digits, "0")}`;
  const span = (lo, hi) => (lo === hi ? hex(lo) : `${hex(lo)}..${hex(hi)}`);
  const grouped = (number) => number.toLocaleString("en-US");

  /** An element with text or children; never with markup. */
  function make(tag, fields = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(fields)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.filter((each) => each !== null && each !== ""));
    return made;
  }

  /* names */

  const msrNames = new Map();
  for (const [first, members, stride, name, about] of data.names.msr) {
    for (let member = 0; member < members; member++) {
      const at = first + member * stride;
      if (!msrNames.has(at)) msrNames.set(at, [members > 1 ? `${name}[${member}]` : name, about]);
    }
  }
  const portNames = new Array(PORTS);
  for (const [first, last, members, stride, name, about] of data.names.io) {
    for (let member = 0; member < members; member++) {
      const shown = [members > 1 ? `${name}[${member}]` : name, about];
      for (let port = first + member * stride; port <= last + member * stride && port < PORTS; port++) portNames[port] = shown;
    }
  }
  const named = (space, address) => (space === "msr" ? msrNames.get(address) : portNames[address]) || null;

  /** Address and name of all in lo..hi that has one. */
  function* namesOf(space, lo, hi) {
    if (space === "io") {
      for (let port = lo; port <= hi; port++) if (portNames[port]) yield [port, portNames[port][0]];
    } else {
      for (const [address, [name]] of msrNames) if (address >= lo && address <= hi) yield [address, name];
    }
  }

  /** The first names of lo..hi, and how many more there are. */
  function namesIn(space, lo, hi) {
    const found = new Set();
    for (const [, name] of namesOf(space, lo, hi)) found.add(name);
    const shown = [...found].slice(0, 3).join(", ");
    return found.size > 3 ? `${shown} and ${found.size - 3} more` : shown;
  }

  /* rules and outcomes in words */

  const place = (side, number) => `${side.files[side.rules[number][0]]}:${side.rules[number][1]}`;

  /** What becomes of an access, one text for each way. */
  const waysText = (outcome) => outcome[2].map(([when, actions, , reason], at) => {
    const does = reason === "unenforced" ? `passes, though the policy says ${actions}`
      : outcome[1] === 0 ? "passes" : actions === "passthrough" ? "exits, passed on" : actions;
    return when ? `${does} if ${when}` : at > 0 ? `else ${does}` : does;
  });

  function ruleText(side, outcome) {
    const rules = [...new Set(outcome[2].map((way) => way[2]).filter((rule) => rule >= 0))];
    return rules.map((rule) => `${side.rules[rule][2] ? `rule ${side.rules[rule][2]}, ` : ""}${place(side, rule)}`).join("; ");
  }

  const searched = (side) => side.outcomes.map((outcome) => {
    const words = [];
    for (const [, actions, rule] of outcome[2]) {
      words.push(actions);
      if (rule >= 0) words.push(...ruleWords(side, rule));
    }
    const places = outcome[2].filter((way) => way[2] >= 0).map((way) => place(side, way[2]));
    return { words: words.join("\n").toLowerCase(), places };
  });
  const ruleWords = (side, rule) => [side.rules[rule][2] || "", side.rules[rule][3], side.files[side.rules[rule][0]]];
  const afterWords = searched(after), beforeWords = before ? searched(before) : [];

  /* state */

  const state = { view: null, mode: before ? "change" : "after", access: ALONE, kinds: new Set(), find: "", tests: [] };
  const modes = before ? [["before", "before"], ["after", "after"], ["change", "change"]] : [];
  let maps = [];
  let ink = null;

  const shownSide = () => (state.mode === "before" ? before : after);
  const changesOf = () => (before ? data.changes[state.view.changes].list : []);

  /* cells: an outcome of each side, and a change, for every address of a map */

  /** The outcomes of lo..hi in a list of runs: lengths and outcomes in turn, or what differs from another list. */
  function outcomesOf(side, list, lo, hi) {
    const runs = side.runs[list], over = runs.over;
    const out = over ? outcomesOf(side, runs.base, lo, hi) : new Uint32Array(hi - lo + 1);
    const fill = (start, end, outcome) => {
      if (end > lo && start <= hi) out.fill(outcome, Math.max(start, lo) - lo, Math.min(end, hi + 1) - lo);
      return end;
    };
    let start = 0;
    if (over) for (let at = 0; at < over.length; at += 3) start = fill(start + over[at], start + over[at] + over[at + 1], over[at + 2]);
    else for (let at = 0; at < runs.length; at += 2) start = fill(start, start + runs[at], runs[at + 1]);
    return out;
  }

  /** Of several columns the outcome that is strictest, address by address. */
  function strictest(side, lists) {
    const kinds = side.outcomes.map((outcome) => outcome[0]);
    const out = lists[0].slice();
    for (const list of lists.slice(1)) {
      for (let at = 0; at < out.length; at++) if (kinds[list[at]] > kinds[out[at]]) out[at] = list[at];
    }
    return out;
  }

  function changesIn(columns, lo, hi) {
    const out = new Uint32Array(hi - lo + 1);
    const mask = columns.reduce((sum, column) => sum | (1 << column), 0);
    changesOf().forEach((change, number) => {
      if (!(change.columns & mask)) return;
      for (const [first, last] of change.ranges) {
        for (let at = Math.max(first, lo); at <= Math.min(last, hi); at++) if (out[at - lo] === 0) out[at - lo] = number + 1;
      }
    });
    return out;
  }

  class HeatMap {
    constructor(parent, title, space, columns, lo, hi) {
      Object.assign(this, { title, space, columns, lo, hi, zoom: 1, left: 0, top: 0, cursor: 0, hover: -1 });
      this.rows = (hi - lo + 1) / ROW;
      this.canvas = make("canvas", {
        tabindex: "0", role: "application", "aria-roledescription": "heat map", "aria-label": title, "aria-describedby": "keys",
      });
      this.box = make("div", { class: "cursor away" });
      this.spot = make("div", { class: "spot" });
      this.frame = make("div", { class: "frame" }, this.canvas, this.spot, this.box);
      this.strip = make("canvas", { class: "strip", "aria-hidden": "true" });
      this.across = make("div", { class: "across", "aria-hidden": "true" });
      this.down = make("div", { class: "down", "aria-hidden": "true" });
      this.counted = make("p");
      const button = (text, label, step) => make("button", {
        type: "button", "aria-label": `${label}: ${title}`, title: label, onclick: () => this.zoomTo(step()),
      }, text);
      this.element = make("div", { class: `map ${space}` },
        make("div", { class: "map-head" }, make("h3", {}, title), this.counted, make("div", { class: "zoom" },
          button("\u2212", "Zoom out", () => this.zoom / 2), button("+", "Zoom in", () => this.zoom * 2),
          button("All", "Show all", () => 1))),
        make("div", { class: "plot" }, this.across, this.down, this.frame, this.strip));
      parent.append(this.element);
      this.listen();
    }

    get size() { return this.hi - this.lo + 1; }
    get shownColumns() { return ROW / this.zoom; }
    get shownRows() { return Math.max(1, this.rows / this.zoom); }

    /** The run lists of a view that the map shows; of several the strictest outcome is drawn. */
    lists(view) {
      if (this.space === "io" && state.access === ALONE) return [...new Set(view.ports)];
      return this.columns().map((column) => view.columns[column]);
    }

    /** Take the cells of the view that is chosen. */
    load() {
      const sides = state.view.sides;
      const of = (side, view) => this.lists(view).map((list) => outcomesOf(side, list, this.lo, this.hi));
      this.allAfter = of(after, sides[sides.length - 1]);
      this.allBefore = before ? of(before, sides[0]) : [];
      this.after = strictest(after, this.allAfter);
      this.before = before ? strictest(before, this.allBefore) : null;
      this.change = before ? changesIn(this.columns(), this.lo, this.hi) : null;
      const changes = changesOf();
      if (state.mode === "change") {
        this.cells = this.change;
        this.kinds = Uint8Array.from([0, ...changes.map((change) => CHANGE_KINDS.indexOf(change.kind))]);
        this.mixed = new Uint8Array(this.kinds.length);
      } else {
        this.cells = state.mode === "before" ? this.before : this.after;
        this.kinds = Uint8Array.from(shownSide().outcomes.map((outcome) => outcome[0]));
        this.mixed = Uint8Array.from(shownSide().outcomes.map((outcome) => (outcome[2].length > 1 ? 1 : 0)));
      }
    }

    /** Mark the cells that the filter finds; how many. */
    filter() {
      const match = new Uint8Array(this.size);
      const kindOf = Uint8Array.from(this.kinds, (kind) => (state.kinds.size === 0 || state.kinds.has(kind) ? 1 : 0));
      const tests = state.tests.map((test) => {
        const of = (words) => Uint8Array.from(words, (each) => (test.outcome(each) ? 1 : 0));
        return { after: of(afterWords), before: of(beforeWords), address: test.addresses(this.space, this.lo, this.hi) };
      });
      const afters = state.mode !== "before" ? this.allAfter : [], befores = state.mode !== "after" ? this.allBefore : [];
      const fits = (test, at) => test.address[at] || afters.some((list) => test.after[list[at]])
        || befores.some((list) => test.before[list[at]]);
      let found = 0;
      for (let at = 0; at < match.length; at++) {
        let good = kindOf[this.cells[at]];
        for (const test of tests) {
          if (!good) break;
          good = fits(test, at) ? 1 : 0;
        }
        match[at] = good;
        found += good;
      }
      this.match = match;
      return found;
    }

    /** Count the kinds, and find out which is the ground that the others stand on. */
    tally(counts) {
      const mine = new Array(counts.length).fill(0);
      for (const cell of this.cells) mine[this.kinds[cell]] += 1;
      mine.forEach((count, kind) => { counts[kind] += count; });
      this.ground = mine.indexOf(Math.max(...mine));
      const exits = this.size - mine[0];
      const unit = this.space === "msr" ? "MSRs" : "ports";
      const does = state.mode === "change" ? "change" : "exit";
      this.counted.textContent = `${grouped(exits)} of ${grouped(this.size)} ${unit} ${does}`;
    }

    /* drawing */

    draw() {
      const room = this.element.clientWidth - this.down.offsetWidth - STRIP - 7;
      const ratio = window.devicePixelRatio || 1;
      const base = Math.max(1, Math.min(4, Math.floor((room * ratio) / ROW) / ratio));
      const pixels = Math.max(1, Math.round(base * this.zoom * ratio));
      this.cell = pixels / ratio;
      const width = this.shownColumns * pixels, height = Math.ceil(this.shownRows) * pixels;
      this.canvas.width = width;
      this.canvas.height = height;
      for (const part of [this.canvas.style, this.frame.style]) {
        part.width = `${width / ratio}px`;
        part.height = `${height / ratio}px`;
      }
      const context = this.canvas.getContext("2d");
      const image = context.createImageData(width, height);
      const seen = { left: this.left, top: this.top, columns: this.shownColumns, rows: this.shownRows, pixels };
      this.fill(new Uint32Array(image.data.buffer), seen);
      context.putImageData(image, 0, 0);
      if (pixels >= LETTER_FROM) this.letters(context, seen);
      this.ticks(pixels, ratio);
      this.axes();
      this.place();
    }

    /** Beside each row a mark in the colour of the strictest kind in it other than the ground (of changes, of what opens
        first), for what is small. */
    ticks(pixels, ratio) {
      const graver = state.mode === "change" ? (one, other) => other === 0 || (one > 0 && one < other)
        : (one, other) => one > other;
      const { plain } = ink[state.mode === "change" ? "change" : "outcome"];
      const width = Math.round(STRIP * ratio), height = Math.ceil(this.shownRows) * pixels;
      Object.assign(this.strip, { width, height });
      Object.assign(this.strip.style, { width: `${width / ratio}px`, height: `${height / ratio}px` });
      const context = this.strip.getContext("2d"), image = context.createImageData(width, height);
      const out = new Uint32Array(image.data.buffer);
      for (let row = 0; row < Math.ceil(this.shownRows); row++) {
        let kind = -1;
        for (let at = (this.top + row) * ROW; at < (this.top + row + 1) * ROW; at++) {
          const here = this.kinds[this.cells[at]];
          if (this.match[at] && here !== this.ground && (kind < 0 || graver(here, kind))) kind = here;
        }
        if (kind >= 0) out.fill(plain[kind], row * pixels * width, (row + 1) * pixels * width);
      }
      context.putImageData(image, 0, 0);
    }

    /** The neighbourhood of a cell, enlarged. */
    lens(canvas, at) {
      const ratio = window.devicePixelRatio || 1, pixels = Math.round((LENS_WIDTH / LENS_COLUMNS) * ratio);
      const columns = LENS_COLUMNS, rows = Math.min(LENS_ROWS, this.rows), x = at % ROW, y = Math.floor(at / ROW);
      const start = (middle, shown, whole) => Math.max(0, Math.min(whole - shown, middle - Math.floor(shown / 2)));
      const seen = { left: start(x, columns, ROW), top: start(y, rows, this.rows), columns, rows, pixels };
      canvas.width = columns * pixels;
      canvas.height = rows * pixels;
      const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
      this.fill(new Uint32Array(image.data.buffer), seen);
      context.putImageData(image, 0, 0);
      this.letters(context, seen);
      for (const [name, width] of [["mark-halo", 6], ["mark", 3]]) {
        context.strokeStyle = ink.css[name];
        context.lineWidth = width * ratio;
        context.strokeRect((x - seen.left) * pixels, (y - seen.top) * pixels, pixels - 1, pixels - 1);
      }
    }

    /** Every pixel: the colour of its cell's kind, its pattern's ink, a line between cells where they are large. */
    fill(out, { left, top, columns, rows, pixels }) {
      const width = columns * pixels, height = Math.ceil(rows) * pixels;
      const { tiles, line, mixed } = ink[state.mode === "change" ? "change" : "outcome"];
      const lined = pixels >= 8, mark = Math.max(1, Math.floor(pixels / 4));
      for (let y = 0; y < height; y++) {
        const row = Math.floor(y / pixels), inY = y - row * pixels;
        const first = (top + row) * ROW + left;
        for (let x = 0; x < width; x++) {
          const column = Math.floor(x / pixels), inX = x - column * pixels;
          const cell = this.cells[first + column], found = this.match[first + column];
          const tile = tiles[2 * this.kinds[cell] + found];
          out[y * width + x] = lined && (inX === pixels - 1 || inY === pixels - 1) ? line
            : this.mixed[cell] && found && inX + inY < mark ? mixed[this.kinds[cell]]
            : tile[(y % TILE) * TILE + (x % TILE)];
        }
      }
    }

    letters(context, { left, top, columns, rows, pixels }) {
      const kinds = state.mode === "change" ? CHANGE_KINDS : data.kinds;
      context.font = `600 ${Math.round(pixels * 0.5)}px ui-monospace, "DejaVu Sans Mono", monospace`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const at = (top + row) * ROW + left + column;
          const kind = kinds[this.kinds[this.cells[at]]];
          if (!LETTERS[kind] || !this.match[at]) continue;
          const [x, y] = [(column + 0.5) * pixels, (row + 0.54) * pixels];
          context.fillStyle = ink.css[kind];
          context.fillRect(x - pixels * 0.22, y - pixels * 0.3, pixels * 0.44, pixels * 0.56);
          context.fillStyle = ink.css[`${kind}-ink`];
          context.fillText(LETTERS[kind], x, y);
        }
      }
    }

    axes() {
      const step = (size, room) => { let cells = 1; while (cells * size < room) cells *= 2; return cells; };
      const label = (text, side, at) => { const made = make("span", {}, text); made.style[side] = `${at}px`; return made; };
      const labels = (start, count, every, text, side) => {
        const out = [];
        for (let at = Math.ceil(start / every) * every; at < start + count; at += every) {
          out.push(label(text(at), side, (at - start) * this.cell));
        }
        return out;
      };
      this.across.style.width = `${this.shownColumns * this.cell}px`;
      const low = (at) => at.toString(16).padStart(2, "0"), whole = (at) => hex(this.lo + at * ROW, digits);
      this.across.replaceChildren(...labels(this.left, this.shownColumns, step(this.cell, 34), low, "left"));
      const digits = this.hi > 0xffff ? 8 : 4;
      this.down.replaceChildren(...labels(this.top, this.shownRows, step(this.cell, 28), whole, "top"));
      for (const each of this.down.children) each.style.marginTop = `${Math.min(this.cell, 16) / 2}px`;
    }

    /** Put the cursor's box where the cursor, or the pointer, is. */
    place() {
      const at = this.hover >= 0 ? this.hover : this.cursor;
      const x = (at % ROW) - this.left, y = Math.floor(at / ROW) - this.top;
      const size = Math.max(this.cell + 4, 11), shift = (size - this.cell) / 2;
      const outside = x < 0 || y < 0 || x >= this.shownColumns || y >= this.shownRows;
      this.box.hidden = outside || (maps.current !== this && this.hover < 0);
      this.box.classList.toggle("away", this.hover < 0 && document.activeElement !== this.canvas);
      Object.assign(this.box.style, {
        left: `${x * this.cell - shift}px`, top: `${y * this.cell - shift}px`, width: `${size}px`, height: `${size}px`,
      });
    }

    /* moving */

    /** The cursor to a cell, the view with it, what is there told. */
    go(at, aloud = true) {
      this.cursor = Math.max(0, Math.min(this.size - 1, at));
      this.hover = -1;
      const was = maps.current;
      maps.current = this;
      const left = this.left, top = this.top;
      this.reveal();
      if (left !== this.left || top !== this.top) this.draw();
      if (was && was !== this) was.place();
      this.place();
      inspect(this, this.cursor);
      if (aloud) byId("live").textContent = spoken(this, this.cursor);
    }

    /** Scroll the cell of the cursor into the window. Not its box, which may be on its way there. */
    show() {
      const x = (this.cursor % ROW) - this.left, y = Math.floor(this.cursor / ROW) - this.top;
      const [left, top, size] = [x, y, 1].map((each) => `${each * this.cell}px`);
      Object.assign(this.spot.style, { left, top, width: size, height: size });
      this.spot.scrollIntoView({ block: "nearest", inline: "nearest" });
    }

    reveal() {
      const keep = (start, shown, at, whole) => {
        const wanted = at < start ? at : at >= start + shown ? at - shown + 1 : start;
        return Math.max(0, Math.min(whole - shown, wanted));
      };
      this.left = keep(this.left, this.shownColumns, this.cursor % ROW, ROW);
      this.top = keep(this.top, this.shownRows, Math.floor(this.cursor / ROW), this.rows);
    }

    zoomTo(zoom, at = this.cursor) {
      const wanted = Math.max(1, Math.min(MOST_ZOOM, zoom));
      if (wanted === this.zoom) return;
      this.zoom = wanted;
      this.left = Math.max(0, Math.min(ROW - this.shownColumns, Math.floor((at % ROW) - this.shownColumns / 2)));
      this.top = Math.max(0, Math.min(this.rows - this.shownRows, Math.floor(Math.floor(at / ROW) - this.shownRows / 2)));
      this.draw();
      byId("live").textContent = `zoom ${wanted}`;
    }

    /** The next cell, forth or back, that is found and differs from its neighbour; round the ends of the map. */
    next(step) {
      const free = state.tests.length === 0 && state.kinds.size === 0;
      const wanted = (at) => this.match[at] && !(free && this.kinds[this.cells[at]] === this.ground);
      const starts = (at) => wanted(at) && (at === 0 || this.cells[at - 1] !== this.cells[at] || !wanted(at - 1));
      for (let moved = 1; moved <= this.size; moved++) {
        const at = (this.cursor + step * moved + this.size * 2) % this.size;
        if (starts(at)) return this.go(at);
      }
      byId("live").textContent = "nothing else is found on this map";
      return undefined;
    }

    key(event) {
      if (event.altKey || event.metaKey) return;
      const start = this.cursor - (this.cursor % ROW);
      const moves = {
        ArrowLeft: () => this.go(this.cursor - 1), ArrowRight: () => this.go(this.cursor + 1),
        ArrowUp: () => this.cursor >= ROW && this.go(this.cursor - ROW),
        ArrowDown: () => this.cursor + ROW < this.size && this.go(this.cursor + ROW),
        PageUp: () => this.go(Math.max(this.cursor % ROW, this.cursor - 16 * ROW)),
        PageDown: () => this.go(Math.min(this.size - ROW + (this.cursor % ROW), this.cursor + 16 * ROW)),
        Home: () => this.go(event.ctrlKey ? 0 : start), End: () => this.go(event.ctrlKey ? this.size - 1 : start + ROW - 1),
        n: () => this.next(1), p: () => this.next(-1),
        "+": () => this.zoomTo(this.zoom * 2), "=": () => this.zoomTo(this.zoom * 2),
        "-": () => this.zoomTo(this.zoom / 2), 0: () => this.zoomTo(1),
      };
      const move = moves[event.key];
      if (!move || (event.ctrlKey && event.key !== "Home" && event.key !== "End")) return;
      event.preventDefault();
      move();
      this.show();
    }

    at(event) {
      const box = this.canvas.getBoundingClientRect();
      const x = Math.floor((event.clientX - box.left) / this.cell), y = Math.floor((event.clientY - box.top) / this.cell);
      if (x < 0 || y < 0 || x >= this.shownColumns || y >= this.shownRows) return -1;
      return (this.top + y) * ROW + this.left + x;
    }

    listen() {
      let dragged = null;
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      this.canvas.addEventListener("focus", () => {
        this.go(this.cursor);
        if (!dragged) this.show(); // What is clicked is seen already, and must not move under the pointer.
      });
      this.canvas.addEventListener("blur", () => this.place());
      this.canvas.addEventListener("pointerdown", (event) => {
        dragged = { x: event.clientX, y: event.clientY, left: this.left, top: this.top };
        if (this.at(event) >= 0) this.go(this.at(event));
      });
      window.addEventListener("pointerup", () => { dragged = null; });
      this.canvas.addEventListener("pointermove", (event) => {
        if (dragged && this.zoom > 1) {
          const left = dragged.left - Math.round((event.clientX - dragged.x) / this.cell);
          const top = dragged.top - Math.round((event.clientY - dragged.y) / this.cell);
          this.left = Math.max(0, Math.min(ROW - this.shownColumns, left));
          this.top = Math.max(0, Math.min(this.rows - this.shownRows, top));
          this.draw();
          return;
        }
        const at = this.at(event);
        if (at === this.hover || at < 0) return;
        this.hover = at;
        this.place();
        inspect(this, at);
      });
      this.canvas.addEventListener("pointerleave", () => {
        this.hover = -1;
        this.place();
        if (maps.current) inspect(maps.current, maps.current.cursor);
      });
      this.canvas.addEventListener("dblclick", (event) => this.zoomTo(this.zoom * 2, this.at(event)));
      this.canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.zoomTo(event.deltaY < 0 ? this.zoom * 2 : this.zoom / 2, Math.max(0, this.at(event)));
      }, { passive: false });
    }
  }

  /* what is at a place */

  const ACCESSES = data.columns.map((name) => name.replace(/width (\d)/, "$1 bytes").replace("1 bytes", "1 byte"));

  const outcomeAt = (side, view, column, address) => outcomesOf(side, view.columns[column], address, address)[0];

  /** The accesses at an address, those that fare alike together: [accesses, outcomes by side]. */
  function accessesAt(space, address) {
    const rows = new Map();
    for (const column of space === "msr" ? MSR_COLUMNS : PORT_COLUMNS) {
      const found = data.sides.map((side, at) => outcomeAt(side, state.view.sides[at], column, address));
      const key = found.join();
      if (!rows.has(key)) rows.set(key, [[], found]);
      rows.get(key)[0].push(column);
    }
    return [...rows.values()];
  }

  function accessWords(columns) {
    if (columns[0] < 2) return columns.map((column) => data.columns[column]).join(", ");
    const widths = (mine) => {
      const each = mine.map((column) => data.columns[column].slice(-1)).join("/");
      return mine.length === 3 ? "any width" : `${each} ${each === "1" ? "byte" : "bytes"}`;
    };
    const ins = columns.filter((column) => column < 5), outs = columns.filter((column) => column >= 5);
    const alike = ins.length > 0 && ins.length === outs.length && ins.every((column, at) => outs[at] === column + 3);
    if (alike) return `in, out: ${widths(ins)}`;
    return [ins.length ? `in: ${widths(ins)}` : "", outs.length ? `out: ${widths(outs)}` : ""].filter(Boolean).join("; ");
  }

  function swatch(kind) {
    const made = make("canvas", { class: "swatch", width: "24", height: "24", "aria-hidden": "true", "data-kind": kind });
    paintSwatch(made);
    return made;
  }

  function paintSwatch(canvas) {
    const context = canvas.getContext("2d"), kind = canvas.dataset.kind;
    const image = context.createImageData(TILE, TILE);
    const change = CHANGE_KINDS.indexOf(kind);
    const { tiles } = change < 0 ? ink.outcome : ink.change;
    new Uint32Array(image.data.buffer).set(tiles[2 * (change < 0 ? data.kinds.indexOf(kind) : change) + 1]);
    context.putImageData(image, 0, 0);
  }

  const placeButton = (text) => make("button", {
    type: "button", class: "where", title: "Find every place that this rule decides", onclick: () => find(text),
  }, text);
  const whereButton = (side, rule) => placeButton(place(side, rule));

  const cellOf = (side, number, prefix) => {
    const outcome = side.outcomes[number];
    const parts = waysText(outcome).map((text, at) => make("div", { class: "way" },
      swatch(data.kinds[outcome[2][at][4]]), make("span", {}, (at ? "" : prefix) + text)));
    const reasons = new Set(outcome[2].map((way) => REASONS[way[3]]).filter(Boolean));
    return [...parts, ...[...reasons].map((reason) => make("p", { class: "why" }, reason))];
  };

  function inspect(map, at) {
    const address = map.lo + at, name = named(map.space, address);
    const rows = accessesAt(map.space, address);
    const body = make("tbody");
    for (const [columns, found] of rows) {
      const cell = make("td");
      if (before && !sameOutcome(found)) {
        cell.append(...cellOf(before, found[0], "before: "), ...cellOf(after, found[1], "after: "));
      } else cell.append(...cellOf(after, found[found.length - 1], ""));
      body.append(make("tr", {}, make("th", { scope: "row" }, accessWords(columns)), cell));
    }
    const here = byId("here"), lens = make("canvas", { class: "lens", "aria-hidden": "true" });
    const parts = [
      lens, make("h3", {}, `${map.space === "msr" ? "MSR" : "Port"} ${hex(address)}`),
      name && make("p", { class: "name" }, name[0]), name && make("p", { class: "about" }, name[1]),
      make("table", { "aria-label": "What becomes of each access" }, body), ...rulesAt(rows),
    ];
    here.replaceChildren(...parts.filter(Boolean));
    map.lens(lens, at);
  }

  /** Whether both sides say the same in the same words. */
  function sameOutcome(found) {
    const words = (side, number) => {
      const [, exits, ways] = side.outcomes[number];
      return JSON.stringify([exits, ways.map(([when, actions]) => [when, actions])]);
    };
    return words(before, found[0]) === words(after, found[1]);
  }

  function rulesAt(rows) {
    const parts = [];
    data.sides.forEach((side, at) => {
      const asked = rows.flatMap(([, found]) => side.outcomes[found[at]][2].map((way) => way[2]));
      const rules = new Set(asked.filter((rule) => rule >= 0));
      if (before && at === 0 && rows.every(([, found]) => sameOutcome(found))) return;
      for (const rule of rules) {
        const [, , label, text, profile, doc] = side.rules[rule];
        parts.push(make("div", { class: "rule" },
          before ? `${SIDES[at]}: ` : "", label ? make("strong", {}, `${label} `) : null, whereButton(side, rule),
          profile ? make("span", { class: "why" }, ` profile ${profile}`) : null,
          doc ? make("p", { class: "doc" }, doc) : null, make("pre", {}, text)));
      }
    });
    return parts;
  }

  /** One sentence for those who hear the page. */
  function spoken(map, at) {
    const address = map.lo + at, name = named(map.space, address);
    const words = [`${map.space === "msr" ? "MSR" : "port"} ${hex(address)}${name ? ` ${name[0]}` : ""}`];
    if (state.mode === "change" && map.change[at]) words.push(changesOf()[map.change[at] - 1].kind);
    const shown = map.space === "msr" ? map.columns() : state.access === ALONE ? PORT_COLUMNS : [state.access];
    for (const [columns, found] of accessesAt(map.space, address)) {
      const mine = columns.filter((column) => shown.includes(column));
      if (mine.length === 0) continue;
      const side = state.mode === "before" ? 0 : data.sides.length - 1;
      const outcome = data.sides[side].outcomes[found[side]];
      const rule = ruleText(data.sides[side], outcome);
      words.push(`${accessWords(mine)}: ${waysText(outcome).join("; ")}${rule ? ` (${rule})` : ""}`);
    }
    return words.join(". ");
  }

  /* filter */

  const NUMBERS = /^(?:(msr|io):)?((?:0x[0-9a-f]+|\d+)(?:\.\.(?:0x[0-9a-f]+|\d+))?(?:,|$))+$/i;
  const places = new Set(data.sides.flatMap((side) => side.rules.map((_, rule) => place(side, rule))));

  /** What the words of the box ask for; all of them must hold. */
  function testsOf(text) {
    const whole = text.trim();
    if (places.has(text) || places.has(whole)) return [placeTest(places.has(text) ? text : whole)];
    return whole.split(/\s+/).filter(Boolean).map((word) => {
      if (NUMBERS.test(word)) return numbersTest(word);
      return /:\d+$/.test(word) ? placeTest(word) : wordTest(word.toLowerCase());
    });
  }

  function placeTest(wanted) {
    const good = (where) => where === wanted || where.endsWith(`/${wanted}`);
    const nowhere = (space, lo, hi) => new Uint8Array(hi - lo + 1);
    return { outcome: (each) => each.places.some(good), holds: () => false, addresses: nowhere };
  }

  function numbersTest(word) {
    const [, only] = word.match(NUMBERS);
    const parts = word.slice(only ? only.length + 1 : 0).split(",").filter(Boolean);
    const ranges = parts.map((part) => part.split("..").map(Number)).map(([lo, hi = lo]) => [lo, hi]);
    const here = (space) => (!only || only.toLowerCase() === space ? ranges : []);
    return {
      outcome: () => false,
      holds: (space, lo, hi) => here(space).some(([first, last]) => first <= hi && lo <= last),
      addresses: (space, lo, hi) => within(here(space), lo, hi),
    };
  }

  function wordTest(wanted) {
    const like = ([, name]) => name.toLowerCase().includes(wanted);
    return {
      outcome: (each) => each.words.includes(wanted),
      holds(space, lo, hi) {
        for (const each of namesOf(space, lo, hi)) if (like(each)) return true;
        return false;
      },
      addresses(space, lo, hi) {
        const out = new Uint8Array(hi - lo + 1);
        for (const each of namesOf(space, lo, hi)) if (like(each)) out[each[0] - lo] = 1;
        return out;
      },
    };
  }

  function within(ranges, lo, hi) {
    const out = new Uint8Array(hi - lo + 1);
    for (const [first, last] of ranges) out.fill(1, Math.max(0, first - lo), Math.max(0, Math.min(last, hi) - lo + 1));
    return out;
  }

  function find(text) {
    byId("find").value = text;
    byId("find").dispatchEvent(new Event("input"));
    goToFound();
    if (document.activeElement === document.body) byId("find").focus(); // The button is gone with its table's rows.
  }

  function goToFound() {
    const map = maps.find((each) => each.match.includes(1));
    if (!map) return;
    map.canvas.focus();
    map.element.scrollIntoView({ block: "nearest" });
    map.go(map.match.indexOf(1));
    map.show();
  }

  /* colours */

  function readInk() {
    const style = getComputedStyle(document.documentElement);
    const css = {};
    const value = (name) => {
      css[name] = style.getPropertyValue(`--${name}`).trim();
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(css[name].slice(at, at + 2), 16));
      return [red, green, blue];
    };
    const packed = ([red, green, blue]) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    const back = value("back");
    value("mark");
    value("mark-halo");
    const faded = (colour) => colour.map((each, at) => Math.round(0.13 * each + 0.87 * back[at]));
    const tilesOf = (kinds) => kinds.flatMap((kind) => {
      const plain = value(kind), line = value(`${kind}-ink`), pattern = PATTERNS[kind] || (() => false);
      return [faded, (colour) => colour].map((shade) => {
        const soft = kind === "relayed" ? line : line.map((each, at) => Math.round((each + plain[at]) / 2));
        const [base, mark] = [packed(shade(plain)), packed(shade(soft))];
        return Uint32Array.from({ length: TILE * TILE }, (_, at) => (pattern(at % TILE, Math.floor(at / TILE)) ? mark : base));
      });
    });
    const set = (kinds) => ({
      tiles: tilesOf(kinds), plain: kinds.map((kind) => packed(value(kind))), line: packed(back),
      mixed: kinds.map((kind) => packed(value(`${kind}-ink`))),
    });
    ink = { outcome: set(data.kinds), change: set(CHANGE_KINDS), css };
  }

  /* tables */

  const columnsText = (mask) => data.access[mask];

  function pageOf(rows, head, caption) {
    const body = make("tbody");
    const show = (from, to) => body.append(...rows.slice(from, to).map((row) => row()));
    show(0, MOST_ROWS);
    const table = make("table", {}, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head.map((each) => make("th", { scope: "col" }, each)))), body);
    const parts = [make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, table)];
    if (rows.length > MOST_ROWS) {
      const said = () => {
        const left = rows.length - body.rows.length;
        return left > MORE_ROWS ? `Show ${grouped(MORE_ROWS)} more of ${grouped(rows.length)}` : `Show all ${grouped(rows.length)}`;
      };
      const further = () => {
        const from = body.rows.length;
        show(from, from + MORE_ROWS);
        if (body.rows.length < rows.length) more.textContent = said();
        else more.remove();
        body.rows[from].tabIndex = -1;
        body.rows[from].focus();
      };
      const more = make("button", { type: "button", class: "more", onclick: further }, said());
      parts.push(more);
    }
    return parts;
  }

  const stepText = ([when, actions], at) => (when ? `${actions} if ${when}` : at > 0 ? `else ${actions}` : actions);
  const stepsText = (steps) => steps.map(stepText).join("; ");

  /** What makes a row of a table of ranges, when it is shown. */
  const rangeRow = (side, space) => ([lo, hi, columns, told, rules]) => () => {
    const [kind, steps] = side.told[told];
    const decided = rules.slice(0, 6).map((rule) => make("div", {},
      side.rules[rule][2] ? `${side.rules[rule][2]} ` : "", whereButton(side, rule)));
    return make("tr", {},
      make("th", { scope: "row" }, span(lo, hi)),
      make("td", { class: "count" }, grouped(hi - lo + 1)),
      make("td", {}, columnsText(columns)),
      make("td", { class: "does" }, swatch(data.kinds[kind]), kind === PASSES ? "passes" : stepsText(steps)),
      make("td", { class: "rules" }, ...(rules.length ? decided : ["default"])),
      make("td", {}, namesIn(space, lo, hi)));
  };

  /** The rows of a table: the first of a group and how many follow one another, in turn. */
  function rowsOf(side, table) {
    const groups = side.tables[table], out = [];
    for (let at = 0; at < groups.length; at += 2) {
      for (let row = groups[at]; row < groups[at] + groups[at + 1]; row++) out.push(side.rows[row]);
    }
    return out;
  }

  const rowWords = new Map();

  function rangeTables() {
    const side = shownSide(), at = state.mode === "before" ? 0 : data.sides.length - 1;
    const table = rowsOf(side, state.view.sides[at].table);
    const head = ["Addresses", "Count", "Access", "What happens", "Rule", "Names"];
    const note = "As the policy decides; each port by itself, whatever else an access touches.";
    const parts = [make("p", { class: "note" }, note)];
    for (const [space, title] of [["io", "I/O ports"], ["msr", "MSRs"]]) {
      const all = table.filter(([, , columns]) => (columns & 3 ? "msr" : "io") === space);
      const found = all.filter((row) => rowFound(side, space, row));
      const part = found.length === all.length ? "" : `${grouped(found.length)} of `;
      const which = before ? ` (${SIDES[at]})` : "";
      const caption = `${title}: ${part}${grouped(all.length)} ${all.length === 1 ? "range" : "ranges"}${which}`;
      parts.push(...pageOf(found.map(rangeRow(side, space)), head, caption));
    }
    byId("tables").replaceChildren(...parts);
  }

  function rowFound(side, space, row) {
    const [lo, hi, , told, rules] = row, [kind, steps] = side.told[told];
    if (state.mode !== "change" && state.kinds.size && !state.kinds.has(kind)) return false;
    if (state.tests.length === 0) return true;
    if (!rowWords.has(row)) {
      const words = [stepsText(steps), ...rules.flatMap((rule) => ruleWords(side, rule))].join("\n").toLowerCase();
      rowWords.set(row, { words, places: rules.map((rule) => place(side, rule)) });
    }
    return state.tests.every((test) => test.outcome(rowWords.get(row)) || test.holds(space, lo, hi));
  }

  function changeRow(change) {
    const told = (side, fate) => fate.map(([when, actions, rule], at) => make("div", {},
      `${stepText([when, actions], at)} `, rule >= 0 ? whereButton(side, rule) : "(default)"));
    const way = change.kind !== "changes" ? "" : change.weaker ? ", to something more open" : ", to something stricter";
    const shown = change.ranges.slice(0, 12).map(([lo, hi]) => span(lo, hi)).join(", ");
    const [first, last] = change.ranges[0];
    return make("tr", {},
      make("td", {}, swatch(change.kind), change.kind + way),
      make("th", { scope: "row" }, shown, change.ranges.length > 12 ? ", ..." : "", change.starts ? " (where it starts)" : ""),
      make("td", {}, columnsText(change.columns)),
      make("td", { class: "rules" }, ...told(before, change.old)),
      make("td", { class: "rules" }, ...told(after, change.new)),
      make("td", {}, namesIn(change.space, first, last)));
  }

  function changeTable() {
    if (!before) return;
    const rows = changesOf().map((change) => () => changeRow(change));
    const head = ["What", "Addresses", "Access", "Before", "After", "Names"];
    const caption = `${grouped(rows.length)} ${rows.length === 1 ? "difference" : "differences"}; what opens comes first`;
    const nothing = "No access fares differently under this profile, vCPUs and target.";
    byId("changes").replaceChildren(...(rows.length ? pageOf(rows, head, caption) : [make("p", { class: "note" }, nothing)]));
  }

  function findingRow(each) {
    const notes = each.notes.map((note) => make("p", { class: "help" }, note));
    const helps = each.helps.map((help) => make("p", { class: "help" }, "help: ", make("code", {}, help)));
    const where = each.rule ? placeButton(each.place) : make("span", { class: "mono" }, each.place || "");
    const show = make("button", { type: "button", onclick: () => find(each.find) },
      "Show", make("span", { class: "hidden" }, ` on the maps what ${each.code} is about`));
    return make("tr", {},
      make("td", {}, make("span", { class: `level level-${each.severity}` }, each.severity)),
      make("th", { scope: "row" }, `${each.code} ${each.slug}`),
      make("td", {}, each.message, ...notes, ...helps),
      make("td", {}, where),
      make("td", {}, each.find ? show : ""));
  }

  function findingsList() {
    const found = data.findings;
    byId("findings-part").hidden = found === null;
    if (!found) return;
    const rows = found.list.map((each) => () => findingRow(each)), total = rows.length + found.more;
    const head = ["Level", "Rule of lint", "Finding", "Place", "On the maps"];
    const caption = `${grouped(total)} ${total === 1 ? "finding" : "findings"}`;
    const parts = rows.length ? pageOf(rows, head, caption) : [make("p", { class: "note" }, "Lint finds nothing.")];
    if (found.more) parts.push(make("p", { class: "note" }, `The first ${grouped(rows.length)} are listed.`));
    if (found.note) parts.push(make("p", { class: "note" }, found.note));
    byId("findings").replaceChildren(...parts);
  }

  /* legend */

  function legend() {
    const kinds = state.mode === "change" ? CHANGE_KINDS : data.kinds;
    const counts = new Array(kinds.length).fill(0);
    for (const map of maps) map.tally(counts);
    byId("legend").replaceChildren(...kinds.map((kind, number) => make("li", {}, (() => {
      const button = make("button", {
        type: "button", "aria-pressed": String(state.kinds.has(number)), "data-kind": kind, title: MEANINGS[kind],
        onclick: () => {
          if (!state.kinds.delete(number)) state.kinds.add(number);
          button.setAttribute("aria-pressed", String(state.kinds.has(number)));
          refilter();
        },
      }, swatch(kind), WORDS[kind], counts[number] ? make("small", {}, grouped(counts[number])) : "");
      button.disabled = counts[number] === 0 && !state.kinds.has(number);
      return button;
    })())));
  }

  /* what follows what */

  function refilter() {
    let found = 0;
    for (const map of maps) found += map.filter();
    for (const map of maps) map.draw();
    const filtered = state.tests.length > 0 || state.kinds.size > 0;
    byId("matches").textContent = filtered ? `${grouped(found)} ${found === 1 ? "place" : "places"} found` : "";
    rangeTables();
  }

  function headline() {
    const said = data.changes[state.view.changes].said.map(([kind, text]) => make("li", {}, swatch(kind), text));
    if (said.length === 0) said.push(make("li", {}, "No access fares differently."));
    const { profile, base } = state.view;
    if (profile !== base) said.push(make("li", {}, `profile ${profile} is new; it is compared with the old base policy`));
    byId("headline").replaceChildren(...said, ...data.gone.map((each) => make("li", {}, `profile ${each} is gone`)));
  }

  function reload() {
    for (const map of maps) map.load();
    legend();
    refilter();
    if (before) headline();
    changeTable();
    if (maps.current) inspect(maps.current, maps.current.cursor);
  }

  const NOTES = {
    kvmPorts: "KVM has no I/O bitmap: every access exits that no device in the kernel answers, and what the policy passes "
      + "is passed on there.",
    alone: "A cell is a port by itself, in the colour of the strictest that a rule or default says of it: it has one bit, "
      + "for both directions and all widths.",
    access: "A cell is the port at which an access starts. All the ports that it touches decide; what exits only because "
      + "it shares a bit is passed on by the handler. This access: ",
    kvmMsrs: "KVM's filter decides every MSR; those that processors' bitmaps have are drawn, others stand in the table.",
    msrs: "A cell is an MSR. Reads and writes have bits of their own; an MSR that is not drawn has none, and always exits.",
  };

  function notes() {
    const kvm = state.view.target === "kvm";
    const ports = state.access === ALONE ? NOTES.alone : `${NOTES.access}${ACCESSES[state.access]}.`;
    byId("ports-note").textContent = kvm ? NOTES.kvmPorts : ports;
    byId("msrs-note").textContent = kvm ? NOTES.kvmMsrs : NOTES.msrs;
  }

  /** The maps of the target's windows; the cursors of maps that stay, stay. */
  function buildMaps() {
    const old = new Map(maps.map((map) => [map.title, map]));
    const current = maps.current ? maps.current.title : null;
    byId("port-maps").replaceChildren();
    byId("msr-maps").replaceChildren();
    const columns = () => (state.access === ALONE ? PORT_COLUMNS : [state.access]);
    maps = [new HeatMap(byId("port-maps"), `Ports ${span(0, PORTS - 1)}`, "io", columns, 0, PORTS - 1)];
    for (const [lo, hi] of data.windows[state.view.target]) {
      for (const column of MSR_COLUMNS) {
        const title = `${column ? "WRMSR" : "RDMSR"} ${hex(lo)}..${hex(hi)}`;
        maps.push(new HeatMap(byId("msr-maps"), title, "msr", () => [column], lo, hi));
      }
    }
    for (const map of maps) if (old.has(map.title)) map.cursor = old.get(map.title).cursor;
    maps.current = maps.find((map) => map.title === current) || maps[0];
    notes();
  }

  const choices = {
    profile: (view) => (view.profile === null ? "base policy" : view.profile),
    vcpus: (view) => view.vcpus,
    target: (view) => view.target,
  };

  /** Menus of what the views offer; a menu with one entry only says it. */
  function menus() {
    for (const [id, of] of Object.entries(choices)) {
      const values = [...new Set(data.views.map(of))];
      byId(id).replaceChildren(...values.map((each) => make("option", { value: each }, each)));
      byId(`${id}-field`).hidden = values.length === 1 && id !== "target";
      byId(id).disabled = values.length === 1;
      byId(id).addEventListener("change", choose);
    }
    const accesses = PORT_COLUMNS.map((column) => make("option", { value: column }, ACCESSES[column]));
    byId("access").replaceChildren(make("option", { value: ALONE }, "each port by itself"), ...accesses);
    byId("access").addEventListener("change", () => { state.access = Number(byId("access").value); notes(); reload(); });
    byId("side-field").hidden = !before;
    for (const [value, text] of modes) {
      const input = make("input", { type: "radio", name: "side", value });
      input.checked = value === state.mode;
      input.addEventListener("change", () => { state.mode = value; state.kinds.clear(); reload(); });
      byId("side-field").append(make("label", {}, input, text));
    }
  }

  function choose() {
    const wanted = Object.fromEntries(Object.keys(choices).map((id) => [id, byId(id).value]));
    const fit = (view) => Object.entries(choices).filter(([id, of]) => of(view) === wanted[id]).length;
    state.view = data.views.reduce((best, view) => (fit(view) > fit(best) ? view : best));
    for (const [id, of] of Object.entries(choices)) byId(id).value = of(state.view);
    buildMaps();
    reload();
  }

  function head() {
    const item = (text) => make("li", {}, text);
    const sides = data.sides.map((side, at) => (before ? `${SIDES[at]}: ${side.said}` : side.said));
    byId("facts").replaceChildren(...[...sides, ...(before ? [] : after.facts), data.made].map(item));
    const bad = data.sides.filter((side) => side.unenforced).map((side) => `${side.said}: an image lets pass what the `
      + "decisions beside it trap. Policyc did not make them together.");
    byId("warning").hidden = bad.length === 0;
    byId("warning").textContent = bad.join(" ");
    byId("changes-part").hidden = !before;
  }

  function start() {
    readInk();
    head();
    menus();
    findingsList();
    state.view = data.views[0];
    buildMaps();
    reload();
    maps[0].cursor = Math.max(0, maps[0].cells.findIndex((cell) => maps[0].kinds[cell] !== maps[0].ground));
    maps[0].go(maps[0].cursor, false);
    byId("find").addEventListener("input", () => { state.tests = testsOf(byId("find").value); refilter(); });
    byId("controls").addEventListener("submit", (event) => { event.preventDefault(); goToFound(); });
    document.addEventListener("keydown", (event) => {
      const writes = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === "/" && !writes && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        byId("find").focus();
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readInk();
      for (const map of maps) map.draw();
      document.querySelectorAll("canvas.swatch").forEach(paintSwatch);
    });
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; for (const map of maps) map.draw(); } });
  }

  start();
})();

// The error browser: sentences with gold and with what systems made of them, by dataset, model, kind and length of error.
// Text goes into the page as text nodes alone, so nothing in a sentence or a name is ever markup.
(() => {
  const WINDOW = 50; // sentences rendered at a time
  // Tokens: longer texts are cut to what is near an error. Gold is to be read, a system's answer to be compared with it.
  const GOLD = { whole: 60, near: 12 };
  const ANSWER = { whole: 15, near: 5 };
  const ANY = "";

  const source = document.getElementById("disagreements");
  if (!source) return;
  const { kinds, datasets } = JSON.parse(source.textContent);
  const root = document.getElementById("browser");
  const number = (value) => value.toLocaleString("en");
  const plural = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function bucket(length, cuts) {
    let lower = 1;
    for (const upper of cuts) {
      if (length <= upper) return lower === upper ? `${lower}` : `${lower}-${upper}`;
      lower = upper + 1;
    }
    return `${lower}+`;
  }

  // ---- Reading the numbers (see `Disagreements` in disagreements.py) -------------------------------------------

  function spansOf(numbers, width) {
    const spans = [];
    for (let at = 0; at < numbers.length; at += width) {
      const [start, end, type, known, kind] = numbers.slice(at, at + width);
      spans.push({ start, end, type, known, kind: kind === undefined ? undefined : kinds[kind] });
    }
    return spans;
  }

  // The errors of an answer: gold entities that were not found as they are, and spurious predictions.
  function errorsOf([, missing, predicted], gold) {
    const errors = [];
    for (let at = 0; at < missing.length; at += 2) errors.push({ ...gold[missing[at]], kind: kinds[missing[at + 1]] });
    return errors.concat(spansOf(predicted, 5).filter((span) => span.kind === "spurious"));
  }

  // ---- Filtering -----------------------------------------------------------------------------------------------

  function matches(wanted, error, dataset) {
    return (
      (wanted.kind === ANY || error.kind === wanted.kind) &&
      (wanted.length === ANY || bucket(error.end - error.start, dataset.cuts) === wanted.length) &&
      (wanted.known === ANY || (dataset.train && String(error.known) === wanted.known))
    );
  }

  // Sentences with a wanted error, each with the answers that have one; errors of systems that answer alike all count.
  function find(wanted) {
    const found = [];
    let errors = 0;
    for (const dataset of datasets) {
      if (wanted.dataset !== ANY && dataset.name !== wanted.dataset) continue;
      const place = (model) => dataset.systems.findIndex((system) => system[0] === model);
      const model = place(wanted.model);
      const right = place(wanted.right);
      if ((wanted.model !== ANY && model < 0) || (wanted.right !== ANY && right < 0)) continue;
      if (wanted.right !== ANY && dataset.silent.includes(right)) continue;
      for (const sentence of dataset.sentences) {
        const [, text, numbers, answers] = sentence;
        if (wanted.words.length && !wanted.words.every((word) => text.toLowerCase().includes(word))) continue;
        if (wanted.right !== ANY && answers.some(([systems]) => systems.includes(right))) continue;
        const gold = spansOf(numbers, 4);
        const shown = [];
        for (const answer of answers) {
          if (wanted.model !== ANY && !answer[0].includes(model)) continue;
          const hits = errorsOf(answer, gold).filter((error) => matches(wanted, error, dataset)).length;
          if (hits) shown.push(answer);
          errors += hits * (wanted.model === ANY ? answer[0].length : 1);
        }
        if (shown.length) found.push({ dataset, sentence, shown });
      }
    }
    return { found, errors };
  }

  // ---- Showing -------------------------------------------------------------------------------------------------

  function marked(tokens, span, dataset) {
    const label = [span.kind === "gold" || span.kind === "found" ? "" : span.kind, dataset.types[span.type]];
    const made = element("mark", { className: span.kind }, tokens.slice(span.start, span.end).join(" "));
    if (span.kind !== "found") made.append("\u00a0", element("small", { textContent: label.filter(Boolean).join(" ") }));
    return made;
  }

  // A text with its marks; `near` says which tokens stand in it, and an ellipsis for those between.
  function line(tokens, spans, dataset, near) {
    const starts = new Map(spans.map((span) => [span.start, span]));
    const made = element("span", { className: "text" });
    let plain = "";
    let leftOut = false;
    for (let at = 0; at < tokens.length; ) {
      const span = starts.get(at);
      const end = span ? span.end : at + 1;
      if (near && !near.slice(at, end).includes(true)) {
        if (!leftOut) plain += "… ";
        leftOut = true;
      } else if (span) {
        made.append(plain, marked(tokens, span, dataset), " ");
        plain = "";
        leftOut = false;
      } else {
        plain += `${tokens[at]} `;
        leftOut = false;
      }
      at = end;
    }
    made.append(plain);
    return made;
  }

  function nearby(tokens, spans, { whole, near: reach }) {
    if (tokens.length <= whole) return null;
    const near = new Array(tokens.length).fill(false);
    for (const span of spans) near.fill(true, Math.max(0, span.start - reach), span.end + reach);
    return near;
  }

  function called([model, decoding], dataset) {
    return decoding === "direct" ? model : `${model} (${decoding})`;
  }

  function card({ dataset, sentence: [id, text, numbers, answers], shown }, wanted) {
    const tokens = text.split(" ");
    const gold = spansOf(numbers, 4).map((span) => ({ ...span, kind: "gold" }));
    const erring = answers.reduce((sum, [systems]) => sum + systems.length, 0);
    const asked = dataset.systems.length - dataset.silent.length;
    const made = element("article", { className: "sentence" });
    made.append(
      element("p", { className: "note" },
        element("bdi", { textContent: dataset.name }), " · ",
        element("bdi", { textContent: id }), ` · ${erring} of ${plural(asked, "system")} ${erring === 1 ? "errs" : "err"}`),
    );
    const rows = shown.map((answer) => {
      const notFound = new Map();
      for (let at = 0; at < answer[1].length; at += 2) notFound.set(answer[1][at], kinds[answer[1][at + 1]]);
      const wrong = spansOf(answer[2], 5);
      const missed = gold.filter((_, place) => notFound.get(place) === "missed").map((span) => ({ ...span, kind: "missed" }));
      const found = gold.filter((_, place) => !notFound.has(place)).map((span) => ({ ...span, kind: "found" }));
      const touched = [...notFound.keys()].map((place) => gold[place]).concat(wrong);
      return { systems: answer[0], spans: [...missed, ...found, ...wrong], touched };
    });
    const around = nearby(tokens, rows.flatMap((row) => row.touched), GOLD);
    made.append(row("gold", line(tokens, gold, dataset, around)));
    for (const { systems, spans, touched } of rows) {
      const names = systems.map((place) => called(dataset.systems[place], dataset)).join(", ");
      made.append(row(names, line(tokens, spans, dataset, nearby(tokens, touched, ANSWER))));
    }
    if (around?.includes(false)) {
      const whole = element("details", {}, element("summary", { textContent: "Whole text with gold" }));
      whole.addEventListener("toggle", () => whole.append(line(tokens, gold, dataset, null)), { once: true });
      made.append(whole);
    }
    return made;
  }

  function row(name, content) {
    return element("div", { className: "line" }, element("bdi", { className: "who", textContent: name }), content);
  }

  // ---- Controls ------------------------------------------------------------------------------------------------

  const controls = {};
  function choice(name, label, options) {
    const select = element("select", { name }, ...options.map(([value, shown]) => element("option", { value, textContent: shown })));
    controls[name] = select;
    return element("label", {}, label, select);
  }

  const unique = (values) => [...new Set(values)];
  const models = unique(datasets.flatMap(({ systems, silent }) => systems.filter((_, at) => !silent.includes(at)).map(([model]) => model)));
  const lengths = unique(datasets.flatMap(({ cuts }) => [0, ...cuts].map((cut) => bucket(cut + 1, cuts))));
  const same = (values) => values.map((value) => [value, value]);
  const words = element("input", { type: "search", name: "words", placeholder: "words of the sentence, in any order" });
  controls.words = words;
  const status = element("output", { id: "found" });
  const list = element("div", { id: "sentences" });
  const more = element("button", { type: "button", id: "more", textContent: "More" });
  const form = element("form", { className: "controls" },
    choice("dataset", "Dataset", [[ANY, "all"], ...datasets.map(({ name, closed }) => [name, closed ? `${name} (counts only)` : name])]),
    choice("model", "Model", [[ANY, "any"], ...same(models)]),
    choice("kind", "Kind of error", [[ANY, "any"], ...same(kinds)]),
    choice("length", "Length in tokens", [[ANY, "any"], ...same(lengths)]),
    choice("known", "Mention", [[ANY, "any"], ["1", "known from train"], ["0", "not in train"]]),
    choice("right", "And no error by", [[ANY, "(not asked)"], ...same(models)]),
    element("label", {}, "Text", words));

  const wanted = () => ({
    ...Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value])),
    words: words.value.toLowerCase().split(/\s+/).filter(Boolean),
  });

  let results = [];
  let shown = 0;
  function showMore() {
    const next = results.slice(shown, shown + WINDOW);
    list.append(...next.map(card));
    shown += next.length;
    more.hidden = shown >= results.length;
    more.textContent = `Show ${Math.min(WINDOW, results.length - shown)} more of ${number(results.length - shown)}`;
  }

  function remarks(asked) {
    const among = datasets.filter(({ name }) => asked.dataset === ANY || name === asked.dataset);
    const said = [];
    for (const { name, closed, of, sentences } of among) {
      if (closed) said.push(`${name}: its terms forbid to show its text; see Errors by kind.`);
      else if (sentences.length < of) {
        said.push(`${name}: to keep this page small it holds ${number(sentences.length)} of the ${number(of)} sentences with an error.`);
      }
    }
    const silent = unique(among.flatMap(({ systems, silent }) => silent.map((place) => systems[place][0])));
    if (silent.length) said.push(`Predicting nothing, and so not shown here: ${silent.join(", ")}.`);
    return said;
  }

  const told = element("p", { className: "note" });
  function update() {
    const asked = wanted();
    const { found, errors } = find(asked);
    results = found;
    shown = 0;
    list.replaceChildren();
    status.textContent = `${plural(errors, "error")} in ${plural(found.length, "sentence")}`;
    told.textContent = remarks(asked).join(" ");
    showMore();
  }

  let waiting;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", update);
  words.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, 150);
  });
  more.addEventListener("click", showMore);
  root.append(form, element("p", {}, status), told, list, more);
  document.getElementById("scriptless").remove();
  root.hidden = false;
  update();
})();

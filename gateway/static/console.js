"use strict";

const PAGE = 12;
const TYPING_MS = 120;
const HEALTH_MS = 5000;

const element = (id) => document.getElementById(id);
const stock = element("stock");
const matches = element("matches");
const problem = element("problem");

let found = [];
let marked = -1;
let chosen = null;
let typing = 0;
let searches = 0;
let meanings = {};
let declined = false;

function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/* fetch, with the read key where the service asks for one: typed once, kept until the tab is closed */
async function call(path, options) {
  const key = sessionStorage.getItem("read-key") || "";
  const headers = { ...options.headers, ...(key && { "x-api-key": key }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status !== 401 || declined) return response;
  const given = window.prompt("The read key of this service (TEZI_READ_KEY)");
  declined = !given;
  if (declined) return response;
  sessionStorage.setItem("read-key", given);
  return call(path, options);
}

async function get(path) {
  const response = await call(path, { headers: { accept: "application/json" } });
  return { response, body: await response.json() };
}

/* The stock, with its type-ahead */

function named(entry) {
  return entry.company_name || entry.nse_symbol;
}

function close() {
  matches.hidden = true;
  marked = -1;
  stock.setAttribute("aria-expanded", "false");
  stock.removeAttribute("aria-activedescendant");
}

function choose(entry) {
  chosen = entry;
  stock.value = `${named(entry)} (${entry.bse_code})`;
  element("day").value = entry.newest_price_date;
  close();
}

function mark(index) {
  marked = index;
  [...matches.children].forEach((option, at) => {
    option.setAttribute("aria-selected", String(at === index));
  });
  if (index >= 0) {
    matches.children[index].scrollIntoView({ block: "nearest" });
    stock.setAttribute("aria-activedescendant", matches.children[index].id);
  }
}

function show(entries) {
  found = entries;
  const options = entries.map((entry, index) => {
    const option = make("li");
    option.id = `match-${index}`;
    option.setAttribute("role", "option");
    option.append(
      make("span", named(entry), "name"),
      make("span", `${entry.bse_code} · ${entry.nse_symbol} · prices to ${entry.newest_price_date}`, "more"),
    );
    // mousedown comes before the field loses the focus
    option.addEventListener("mousedown", (event) => {
      event.preventDefault();
      choose(entry);
    });
    return option;
  });
  matches.replaceChildren(...(options.length ? options : [make("li", "No such stock", "none")]));
  matches.hidden = false;
  stock.setAttribute("aria-expanded", "true");
  mark(entries.length ? 0 : -1);
}

async function search() {
  const mine = ++searches;
  const query = new URLSearchParams({ q: stock.value.trim(), limit: PAGE });
  try {
    const { response, body } = await get(`/api/v1/stocks?${query}`);
    if (mine === searches && response.ok && document.activeElement === stock) show(body.stocks);
  } catch {
    close();
  }
}

stock.addEventListener("input", () => {
  chosen = null;
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_MS);
});
stock.addEventListener("focus", () => {
  stock.select();
  if (!chosen) search();
});
stock.addEventListener("blur", close);
stock.addEventListener("keydown", (event) => {
  if (matches.hidden || !found.length) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    mark((marked + step + found.length) % found.length);
  } else if (event.key === "Enter" && marked >= 0) {
    event.preventDefault();
    choose(found[marked]);
  } else if (event.key === "Escape") {
    close();
  }
});

/* The answer */

function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) element("answer").hidden = true;
}

function wordsOf(status, body) {
  const detail = body && body.detail;
  if (Array.isArray(detail)) return detail.map((entry) => `${entry.loc.slice(1).join(".")}: ${entry.msg}`).join("; ");
  return detail || `The service responded with status ${status}`;
}

function showAnswer(answer, milliseconds) {
  const percent = (answer.probability * 100).toFixed(answer.probability < 0.1 ? 2 : 1);
  const { threshold, margin } = answer;
  const yes = answer.predicted_label === 1;
  element("answer-stock").textContent = `${chosen ? named(chosen) : answer.nse_symbol} (${answer.bse_code})`;
  element("answer-days").textContent = `session of ${answer.next_session}, prices as of ${answer.as_of}`;
  const event = answer.target === "upper_circuit" ? "upper circuit" : "jump";
  element("answer-label").textContent = yes ? `${event[0].toUpperCase()}${event.slice(1)} expected` : `No ${event} expected`;
  element("answer-label").className = `label ${yes ? "yes" : "no"}`;
  element("fill").className = yes ? "fill yes" : "fill";
  element("fill").style.width = `${percent}%`;
  element("meter").setAttribute("aria-label", `Probability ${percent} percent`);
  const line = element("mark");
  line.style.left = `${threshold * 100}%`;
  line.className = `mark ${threshold < 0.1 ? "left" : threshold > 0.9 ? "right" : ""}`;
  element("mark-text").textContent = `threshold ${(threshold * 100).toFixed(1)} %`;
  element("fact-probability").textContent = `${percent} %`;
  element("fact-margin").textContent =
    `odds ${Math.exp(Math.abs(margin)).toPrecision(3)} times ${margin < 0 ? "below" : "above"} the threshold's`;
  element("fact-results").textContent = answer.announced_on || "none: the model knows sessions after results only";
  element("fact-model").textContent = `${answer.variant} v${answer.model_version}`;
  element("fact-time").textContent = `${milliseconds.toFixed(1)} ms`;
  element("features").replaceChildren(
    ...Object.entries(answer.features).map(([name, value]) => {
      const row = make("div");
      row.title = meanings[name] || "";
      const missing = value === null;
      const text = missing ? "missing" : String(Number(value.toPrecision(6)));
      row.append(make("span", name), make("span", text, missing ? "value missing" : "value"));
      return row;
    }),
  );
  element("answer").hidden = false;
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = stock.value.trim();
  const code = chosen ? chosen.bse_code : /^[0-9]{6}$/.test(typed) ? typed : null;
  if (!code) {
    complain("Choose a stock from the list, or type its six-digit BSE code.");
    return;
  }
  const button = event.submitter || element("form").querySelector("button");
  button.disabled = true;
  try {
    const response = await call("/api/v1/predict", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        bse_code: code,
        prediction_date: element("day").value,
        variant: element("variant").value,
        include_features: true,
      }),
    });
    const body = await response.json();
    if (response.ok) {
      complain("");
      showAnswer(body, Number(response.headers.get("x-process-time")) * 1000);
    } else {
      complain(wordsOf(response.status, body));
    }
  } catch {
    complain("The service does not respond.");
  } finally {
    button.disabled = false;
  }
});

/* The service */

function part(name, component) {
  const card = make("div", undefined, `part ${component.status}`);
  const title = make("strong");
  title.append(make("span", undefined, "dot"), make("span", `${name}: ${component.status}`));
  const latency = component.latency_ms === null ? "" : ` (${component.latency_ms.toFixed(1)} ms)`;
  card.append(title, make("p", component.detail + latency));
  return card;
}

async function refreshHealth() {
  const pill = element("health");
  try {
    const { body } = await get("/api/v1/health");
    pill.className = `pill ${body.status}`;
    element("health-text").textContent = body.status;
    element("parts").replaceChildren(...Object.entries(body.components).map((entry) => part(...entry)));
    await refreshModels(body);
  } catch {
    pill.className = "pill unhealthy";
    element("health-text").textContent = "no response";
  }
}

async function refreshModels(health) {
  const { body } = await get("/api/v1/models");
  const select = element("variant");
  const published = Object.keys(body.variants).filter((name) => body.variants[name].state === "published");
  const wanted = published.length ? published : ["fp32"];
  if ([...select.options].map((option) => option.value).join() !== wanted.join()) {
    const before = select.value;
    select.replaceChildren(...wanted.map((name) => make("option", name)));
    if (wanted.includes(before)) select.value = before;
  }
  const serving = body.versions.find((version) => version.labels.includes("stable"));
  const model = serving
    ? `Model ${serving.model_id}, version ${serving.model_version}, trained ${serving.trained_at.slice(0, 10)}. `
    : "";
  element("service-facts").textContent =
    `${model}Tezi ${health.version}, up for ${Math.round(health.uptime_s)} s.`;
}

async function begin() {
  element("day").value = new Date().toISOString().slice(0, 10);
  await refreshHealth();
  setInterval(refreshHealth, HEALTH_MS);
  try {
    const { body } = await get("/openapi.json");
    const described = body.components.schemas.Features.properties;
    meanings = Object.fromEntries(Object.entries(described).map(([name, one]) => [name, one.description]));
  } catch {
    meanings = {};
  }
}

begin();

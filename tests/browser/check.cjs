// Drives the status page with a real browser. Each check throws with a sentence that says what is wrong.
"use strict";
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [, , executablePath, base, out, processor, db, work] = process.argv;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = [320, 768, 1440];
const HOSTILE = '"><img src=x onerror=alert(1)>';

const expect = (holds, sentence) => { if (!holds) throw new Error(sentence); };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const eventually = async (what, ask) => {
  const until = Date.now() + 120_000;
  for (;;) {
    const answer = await ask().catch(() => null);
    if (answer) return answer;
    expect(Date.now() < until, `not within two minutes: ${what}`);
    await sleep(500);
  }
};

const json = async (address) => {
  const answer = await fetch(base + address);
  expect(answer.ok, `${address} answers ${answer.status}`);
  return answer.json();
};

// A page that may neither complain, nor open a dialog, nor load anything from elsewhere.
const open = async (context, complaints, site = base) => {
  const page = await context.newPage();
  page.on("console", (said) => { if (said.type() === "error") complaints.push(`${page.url()}: ${said.text()}`); });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("dialog", (dialog) => { complaints.push(`${page.url()}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const from = request.url();
    if (!from.startsWith(site) && !from.startsWith("data:")) complaints.push(`${page.url()}: loads ${from}`);
  });
  return page;
};

const accessible = async (page, where, complaints) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map((found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((n) => n.html).join(" | ")}`);
  complaints.push(...told.map((violation) => `axe-core at ${where}: ${violation}`));
};

const looks = async (browser, pages, complaints) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
      const page = await open(context, complaints);
      for (const [name, address] of Object.entries(pages)) {
        const where = `${name}, ${width} px, ${colorScheme}`;
        const answer = await page.goto(base + address);
        expect(answer.status() === 200, `${where}: status ${answer.status()}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (wide > 0) complaints.push(`${where}: the page is ${wide} px wider than the window`);
        await accessible(page, where, complaints);
        await page.screenshot({ path: path.join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        // The rate of questions is bounded, and a browser under control asks faster than people.
        await sleep(250);
      }
      await context.close();
    }
  }
  expect(complaints.length === 0, `the browser complains:\n  ${[...new Set(complaints)].join("\n  ")}`);
};

// Pages that the command line writes: they open from a disk, without a server.
const offline = async (browser, incident, complaints) => {
  const run = (...args) => execFileSync(processor, args, { stdio: ["ignore", "ignore", "pipe"] });
  const strict = path.join(work, "strict.toml");
  fs.writeFileSync(strict, "[detector]\nmin_hosts = 1000\n");
  const later = path.join(work, "later.toml");
  fs.writeFileSync(later, "[detector]\nmin_hosts = 6\n");
  const compared = (detector, file) => run("replay", "--db", db, "--stage", "signals", "--detector", detector, "--what-if",
    "--compare", "live", "--compare-out", path.join(work, file));
  compared(strict, "compare.html");
  compared(later, "compare-later.html");
  run("report", incident, "--db", db, "--out", path.join(work, "en"));
  run("report", incident, "--db", db, "--out", path.join(work, "de"), "--lang", "de", "--zone", "Europe/Berlin");
  const pages = { compare: "compare.html", "compare-later": "compare-later.html", report: "en/report.html", "report-de": "de/report.html" };
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [320, 800, 1400]) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
      const page = await open(context, complaints, "file:");
      for (const [name, file] of Object.entries(pages)) {
        const where = `${name}, ${width} px, ${colorScheme}`;
        await page.goto(`file://${path.resolve(work, file)}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (wide > 0) complaints.push(`${where}: the page is ${wide} px wider than the window`);
        await accessible(page, where, complaints);
        await page.screenshot({ path: path.join(out, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
      await context.close();
    }
  }
};

const keyboard = async (browser, incident, complaints) => {
  const context = await browser.newContext({ viewport: { width: 1024, height: 800 } });
  const page = await open(context, complaints);
  await page.goto(`${base}/`);
  const focused = () => page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return {
      tag: element.tagName, text: element.textContent.trim().slice(0, 60), href: element.getAttribute("href"),
      outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0, inside: box.right > 0 && box.bottom > 0,
    };
  });
  await page.keyboard.press("Tab");
  const first = await focused();
  expect(first.text === "Skip to the content" && first.inside, `the first stop is no visible skip link: ${JSON.stringify(first)}`);
  await page.keyboard.press("Enter");
  expect(await page.evaluate(() => document.activeElement.id === "main"), "the skip link does not lead to the content");
  const seen = [];
  for (let stop = 0; stop < 200; stop += 1) {
    await page.keyboard.press("Tab");
    const now = await focused();
    if (now.tag === "BODY") break;
    expect(now.outline, `no visible focus at ${JSON.stringify(now)}`);
    seen.push(now);
  }
  for (const tag of ["A", "SELECT", "INPUT", "BUTTON", "DIV"]) {
    expect(seen.some((stop) => stop.tag === tag), `no stop of the keyboard at a ${tag}`);
  }
  // From the top to the first incident, and into it.
  await page.goto(`${base}/`);
  for (let stop = 0; stop < 40 && (await focused()).href !== `/incidents/${incident}`; stop += 1) await page.keyboard.press("Tab");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  expect(page.url().endsWith(`/incidents/${incident}`), `the keyboard came to ${page.url()}`);
  // A search without a mouse.
  await page.goto(`${base}/hosts`);
  for (let stop = 0; stop < 20 && (await focused()).tag !== "INPUT"; stop += 1) await page.keyboard.press("Tab");
  await page.keyboard.type("0x800b0109");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  expect(page.url().includes("q=0x800b0109"), `the search led to ${page.url()}`);
  await context.close();
};

const withoutScript = async (browser, incident, complaints) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await open(context, complaints);
  await page.goto(`${base}/`);
  expect((await page.textContent(".answer")).includes("open"), "no verdict without script");
  await page.selectOption("select[name=state]", "resolved");
  await Promise.all([page.waitForNavigation(), page.click("form.filter button")]);
  expect(page.url().includes("state=resolved"), `the filter led to ${page.url()}`);
  expect(await page.locator(`#live table a[href="/incidents/${incident}"]`).count() === 0, "the filter filters nothing");
  await page.goto(`${base}/incidents/${incident}`);
  expect(await page.locator("svg .bar").count() > 0, "no curve without script");
  await context.close();
};

const hostile = async (browser, complaints) => {
  const context = await browser.newContext();
  const page = await open(context, complaints);
  const address = `/hosts/${encodeURIComponent(HOSTILE)}`;
  for (const where of [`/hosts?q=${encodeURIComponent("onerror")}`, address, `/?text=${encodeURIComponent(HOSTILE)}`]) {
    await page.goto(base + where);
    expect(await page.locator("img").count() === 0, `${where}: a host name became an element`);
    await sleep(300);
  }
  await page.goto(base + address);
  expect((await page.textContent("h1")) === HOSTILE, "the page of the hostile host does not name the host");
  await context.close();
};

const live = async (browser, incident, complaints) => {
  const context = await browser.newContext();
  const page = await open(context, complaints);
  await page.goto(`${base}/incidents/${incident}`);
  await page.evaluate(() => { window.isTheSamePage = true; });
  const link = page.locator("#live a").last();
  await link.focus();
  const before = await link.getAttribute("href");
  const note = "the new policy is linked";
  execFileSync(processor, ["alerts", "note", incident, "--why", note, "--by", "anna", "--db", db]);
  await page.waitForFunction((text) => document.getElementById("live").textContent.includes(text), note, { timeout: 30_000 });
  expect(await page.evaluate(() => window.isTheSamePage), "the page was loaded again as a whole");
  const after = await page.evaluate(() => document.activeElement.getAttribute("href"));
  expect(after === before, `the focus went from ${before} to ${after}`);
  await context.close();
};

const main = async () => {
  const incident = await eventually("an incident with its hosts", async () => {
    const { incidents } = await json("/api/v1/incidents?state=open");
    const { fleet } = await json("/api/v1/status");
    return incidents.length > 0 && fleet.with_inventory > 10 && incidents[0].affected > 5 ? incidents[0].id : null;
  });
  // The fleet is read to its end before pages are looked at.
  let known = 0;
  await eventually("the end of the logs", async () => {
    await sleep(3000);
    const { version } = await json("/api/v1/status");
    const is = version === known;
    known = version;
    return is;
  });
  const { hosts } = await json(`/api/v1/incidents/${incident}`);
  const pages = {
    overview: "/",
    incident: `/incidents/${incident}`,
    hosts: "/hosts?state=failing",
    host: `/hosts/${encodeURIComponent(hosts[0].name)}`,
    certificates: "/certificates",
    pipeline: "/pipeline",
    unknown: "/?text=nothing-has-this-text",
  };
  const complaints = [];
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    await looks(browser, pages, complaints);
    await keyboard(browser, incident, complaints);
    await withoutScript(browser, incident, complaints);
    await hostile(browser, complaints);
    await live(browser, incident, complaints);
    await offline(browser, incident, complaints);
  } finally {
    await browser.close();
  }
  expect(complaints.length === 0, `the browser complains:\n  ${[...new Set(complaints)].join("\n  ")}`);
  console.log(`browser: ${Object.keys(pages).length} pages at ${WIDTHS.join(", ")} px in light and dark, keyboard, no script, hostile names, live updates, and 4 pages from the disk: all well`);
};

main().catch((error) => { console.error(`browser: ${error.message}`); process.exit(1); });

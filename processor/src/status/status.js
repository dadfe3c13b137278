// Keeps a page up to date. Without this script the pages work the same; a reload shows the newest state.
"use strict";
(() => {
  const live = document.getElementById("live");
  const news = document.getElementById("news");
  if (!live || !news || !window.EventSource) return;
  let version = document.body.dataset.version;
  let isLoading = false;

  // The same element in the new part, so that a person who uses the keyboard stays where they were.
  const placeOf = (element) => {
    if (!live.contains(element)) return null;
    const alike = [...live.querySelectorAll(element.tagName)];
    return { tag: element.tagName, id: element.id, href: element.getAttribute("href"), at: alike.indexOf(element) };
  };
  const find = (place) => {
    const alike = [...live.querySelectorAll(place.tag)];
    return (place.id && document.getElementById(place.id))
      || alike.find((element) => place.href && element.getAttribute("href") === place.href)
      || alike[place.at];
  };

  const load = async (wanted) => {
    // A form that somebody fills in stays as it is.
    const focused = document.activeElement;
    if (isLoading || document.hidden || (live.contains(focused) && focused.matches("input, select"))) return;
    isLoading = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = page.getElementById("live");
      if (!part) return;
      version = wanted;
      if (part.innerHTML === live.innerHTML) return;
      const scrolled = [...live.querySelectorAll(".scroll")].map((element) => [element.scrollLeft, element.scrollTop]);
      const place = placeOf(focused);
      const before = live.querySelector(".answer")?.textContent;
      live.replaceChildren(...part.childNodes);
      [...live.querySelectorAll(".scroll")].forEach((element, at) => {
        if (scrolled[at]) [element.scrollLeft, element.scrollTop] = scrolled[at];
      });
      if (place) find(place)?.focus({ preventScroll: true });
      const after = live.querySelector(".answer")?.textContent;
      // Only a changed verdict is read out: a screen reader must not speak at every figure.
      news.textContent = after && after !== before ? after : "";
    } catch {
      // The server is away; the stream comes again by itself.
    } finally {
      isLoading = false;
    }
  };

  const stream = new EventSource("/api/v1/events");
  stream.addEventListener("version", (event) => {
    if (event.data !== version) load(event.data);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load(version); });
})();

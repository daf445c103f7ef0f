// Shows times in the reader's own zone.
for (const el of document.querySelectorAll("time")) {
  const t = new Date(el.dateTime);
  if (!Number.isNaN(t.getTime())) {
    el.textContent = t.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    el.title = t.toLocaleString();
  }
}
